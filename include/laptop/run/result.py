"""What a run came to: collected from Airflow and SageMaker, and written to `.local/last-run.json`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from include.laptop.layout import LAST_RUN, REPORTS, LaptopError
from include.laptop.run import reviewer
from include.laptop.run.jobs import JOB_STEPS, SageMaker, interruptions, request_names
from include.laptop.setup.arguments import Arguments
from include.laptop.stack.airflow_api import AirflowApi
from sagemaker_retraining.requests.approval import short_name

CAPTURE_SECONDS = 20
RUN_PREFIX = "make_run__"


@dataclass
class Result:
    """The members of last-run.json; `phases` is seconds per phase, `error` why a run did not end well.

    `not_compared` names the champion that there is, and says why it has no metrics. `prediction` is the endpoint's
    answer to one row, `predictions` the S3 URI of what a batch model has scored.
    """

    model: str
    period: str
    dag_id: str
    run_id: str
    state: str = "not started"
    seconds: float = 0.0
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=lambda: {"challenger": None, "champion": None})
    not_compared: str | None = None
    model_package_arn: str | None = None
    approval: dict[str, Any] | None = None
    endpoint: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    predictions: str | None = None
    report: str | None = None
    resumed: str | None = None
    memory_bytes: int | None = None
    phases: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def write(self) -> None:
        """Replace last-run.json as a whole."""
        LAST_RUN.parent.mkdir(parents=True, exist_ok=True)
        draft = LAST_RUN.with_suffix(".tmp")
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n")
        draft.replace(LAST_RUN)


def new_result(arguments: Arguments) -> Result:
    """An empty result with a run id that no other run has."""
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    run_id = f"{RUN_PREFIX}{arguments.period}__{moment}.{time.time_ns() // 1_000_000 % 1000:03d}"
    return Result(arguments.model, arguments.period, arguments.dag_id, run_id)


def collect(result: Result, api: AirflowApi, sagemaker: SageMaker) -> None:
    """Fill the result from a run that has ended, however it ended."""
    result.state = api.run_state(result.dag_id, result.run_id)
    tasks = api.tasks(result.dag_id, result.run_id)
    result.tasks = {
        name: {"state": tasks[name].state, "tries": tasks[name].tries, "seconds": round(tasks[name].seconds, 1)}
        for name in api.task_order(result.dag_id)
        if name in tasks
    }

    def returned(task: str) -> dict[str, Any]:
        value = api.xcom(result.dag_id, result.run_id, task)
        return value if isinstance(value, dict) else {}

    plan = returned("plan")
    result.jobs = [job for step in JOB_STEPS if (job := describe_job(sagemaker, step, request_names(plan)(step)))]
    gate = returned("quality_gate")
    result.metrics = {"challenger": gate.get("challenger"), "champion": gate.get("champion")}
    result.not_compared = not_compared(plan, gate)
    result.model_package_arn = returned("register").get("model_package_arn")
    if result.model_package_arn:
        result.approval = reviewer.decision(sagemaker, result.model_package_arn)
    if training := next((job for job in result.jobs if job["step"] == "train"), None):
        result.resumed = sagemaker.resume_line(training["name"])
    outputs = returned("evaluate").get("outputs", {})
    result.report = save_report(result, sagemaker, outputs)
    result.predictions = returned("transform").get("output")
    if deployed := returned("deploy"):
        if answers_at_once(plan["verify"], deployed):
            result.prediction = predict(sagemaker, plan["verify"], outputs, deployed["variant"])
        result.endpoint = describe_endpoint(sagemaker, deployed)


def not_compared(plan: dict[str, Any], gate: dict[str, Any]) -> str | None:
    """`flight-delay/7: it could not be scored: …`; None where there was no champion, or it was compared with."""
    why, champion = gate.get("not_compared"), plan.get("quality_gate", {}).get("champion")
    return f"{short_name(champion)}: {why}" if why and champion else why


def describe_job(sagemaker: SageMaker, step: str, name: str | None) -> dict[str, Any] | None:
    """A job's line in last-run.json, None when it was never started. Of processing all seconds are billed.

    Seconds are those of one instance: what is paid is `billable_seconds` times `instance_count`.
    """
    job = sagemaker.latest_job(step, name) if name else None
    if job is None:
        return None
    if JOB_STEPS[step] == "processing":
        name, status = job["ProcessingJobName"], job["ProcessingJobStatus"]
        start, end = job.get("ProcessingStartTime"), job.get("ProcessingEndTime")
        seconds = billable = round((end - start).total_seconds()) if start and end else 0
        cluster = job["ProcessingResources"]["ClusterConfig"]
    else:
        name, status = job["TrainingJobName"], job["TrainingJobStatus"]
        seconds = job.get("TrainingTimeInSeconds", 0)
        billable = job.get("BillableTimeInSeconds", seconds)
        cluster = job["ResourceConfig"]
    return {
        "step": step,
        "name": name,
        "status": status,
        "instance_count": cluster["InstanceCount"],
        "training_seconds": seconds,
        "billable_seconds": billable,
        "savings_pct": round(100 * (1 - billable / seconds), 1) if seconds else 0.0,
        "interruptions": interruptions(job),
        "spot": bool(job.get("EnableManagedSpotTraining")),
    }


def answers_at_once(verify: dict[str, Any], deployed: dict[str, Any]) -> bool:
    """Whether the new version can be asked: a shadow answers nobody, an asynchronous endpoint later and through S3."""
    return not deployed["shadow"] and "asynchronous_uri" not in verify


def predict(sagemaker: SageMaker, verify: dict[str, Any], outputs: dict[str, str], variant: str) -> dict[str, Any]:
    """Ask the endpoint about a real row and compare with what the evaluation computed for it.

    Raises LaptopError when they differ by more than the model's tolerance.
    """
    row = sagemaker.sample_row(f"{outputs['evaluation']}sample.jsonl")
    online = float(sagemaker.invoke(verify["endpoint"], row, variant))
    if not abs(online - row["prediction"]) <= verify["tolerance"]:
        raise LaptopError(f"{verify['endpoint']} answers {online} where the evaluation computed {row['prediction']}.")
    return {"input": row["body"], "online": online, "offline": row["prediction"]}


def describe_endpoint(sagemaker: SageMaker, deployed: dict[str, Any]) -> dict[str, Any]:
    """The endpoint as it is now. Raises LaptopError unless it serves the wanted config, and captures if it should."""
    name = deployed["endpoint"]
    endpoint = sagemaker.api.describe_endpoint(EndpointName=name)
    captures = endpoint.get("DataCaptureConfig", {}).get("EnableCapture", False)
    deadline = time.monotonic() + CAPTURE_SECONDS
    while not (objects := sagemaker.capture_objects(name)) and captures and time.monotonic() < deadline:
        time.sleep(0.5)
    status, config = endpoint["EndpointStatus"], endpoint["EndpointConfigName"]
    if status != "InService" or config != deployed["endpoint_config"]:
        raise LaptopError(f"{name} is {status} on {config}, wanted InService on {deployed['endpoint_config']}.")
    if captures and not objects:
        raise LaptopError(f"{name} has captured nothing in S3 after {CAPTURE_SECONDS} s.")
    return {"name": name, "status": status, "config": config, "capture_objects": objects}


def save_report(result: Result, sagemaker: SageMaker, outputs: dict[str, str]) -> str | None:
    """Copy the evaluation's HTML report out of S3; None when the run did not get that far."""
    try:
        html = sagemaker.read(f"{outputs['report']}report.html")
    except (KeyError, ClientError):
        return None
    file: Path = REPORTS / result.run_id / "report.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(html)
    return str(file)
