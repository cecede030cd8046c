"""What a run came to: collected from Airflow and SageMaker, and written to `.local/last-run.json`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from botocore.exceptions import ClientError

from include.laptop.layout import LAST_RUN, REPORTS, LaptopError, write_json
from include.laptop.run import reviewer
from include.laptop.run.jobs import JobSummary, SageMaker, job_names
from include.laptop.run.reviewer import Approval
from include.laptop.setup.arguments import RunArguments
from include.laptop.stack.airflow_api import AirflowApi
from sagemaker_retraining.gate.document import GateResult
from sagemaker_retraining.outcomes import ProcessingResult, TransformResult
from sagemaker_retraining.plan.document import PlanDocument, VerifyConfig
from sagemaker_retraining.requests.approval import short_name
from sagemaker_retraining.xcom import DeployResult, RegisterResult

CAPTURE_SECONDS = 20
RUN_PREFIX = "make_run__"


class TaskSummary(TypedDict):
    """A task: `state` as Airflow words it, how often it was tried, and the seconds it took."""

    state: str
    tries: int
    seconds: float


class BothModels(TypedDict):
    """The metrics of both models, by name; one that was not finite is None, a model that was not scored as well."""

    challenger: dict[str, float | None] | None
    champion: dict[str, float | None] | None


class EndpointSummary(TypedDict):
    """The endpoint as it is at the end of the run; `capture_objects` is how many objects data capture wrote."""

    name: str
    status: str
    config: str
    capture_objects: int


class Prediction(TypedDict):
    """One row: what was sent, what the endpoint answered, and what the evaluation computed."""

    input: str
    online: float
    offline: float


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
    tasks: dict[str, TaskSummary] = field(default_factory=dict)
    jobs: list[JobSummary] = field(default_factory=list)
    metrics: BothModels = field(default_factory=lambda: BothModels(challenger=None, champion=None))
    not_compared: str | None = None
    model_package_arn: str | None = None
    approval: Approval | None = None
    endpoint: EndpointSummary | None = None
    prediction: Prediction | None = None
    predictions: str | None = None
    report: str | None = None
    resumed: str | None = None
    memory_bytes: int | None = None
    phases: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def write(self) -> None:
        """Replace last-run.json as a whole."""
        write_json(LAST_RUN, asdict(self))


def new_result(arguments: RunArguments) -> Result:
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

    def xcom(task: str) -> Any:
        return api.xcom(result.dag_id, result.run_id, task)

    plan: PlanDocument | None = xcom("plan")
    gate: GateResult | None = xcom("quality_gate")
    result.jobs = [job for step, name in job_names(plan).items() if (job := sagemaker.job_summary(step, name))]
    if gate:
        result.metrics = {"challenger": gate["challenger"], "champion": gate["champion"]}
        result.not_compared = not_compared(plan, gate)
    registered: RegisterResult | None = xcom("register")
    if registered:
        result.model_package_arn = registered["model_package_arn"]
        result.approval = reviewer.approval(sagemaker, registered["model_package_arn"])
    if training := next((job for job in result.jobs if job["step"] == "train"), None):
        result.resumed = sagemaker.resume_line(training["name"])
    evaluated: ProcessingResult | None = xcom("evaluate")
    outputs = evaluated["outputs"] if evaluated else {}
    result.report = save_report(result, sagemaker, outputs)
    transformed: TransformResult | None = xcom("transform")
    if transformed:
        result.predictions = transformed["output"]
    deployed: DeployResult | None = xcom("deploy")
    if plan and deployed:
        if answers_at_once(plan["verify"], deployed):
            result.prediction = predict(sagemaker, plan["verify"], outputs, deployed["variant"])
        result.endpoint = endpoint_summary(sagemaker, deployed)


def not_compared(plan: PlanDocument | None, gate: GateResult) -> str | None:
    """`flight-delay/7: it could not be scored: …`; None where there was no champion, or it was compared with."""
    why, champion = gate["not_compared"], plan["quality_gate"]["champion"] if plan else None
    return f"{short_name(champion)}: {why}" if why and champion else why


def answers_at_once(verify: VerifyConfig, deployed: DeployResult) -> bool:
    """Whether the new version can be asked: a shadow answers nobody, an asynchronous endpoint later and through S3."""
    return not deployed["shadow"] and "asynchronous_uri" not in verify


def predict(sagemaker: SageMaker, verify: VerifyConfig, outputs: dict[str, str], variant: str) -> Prediction:
    """Ask the endpoint about a real row and compare with what the evaluation computed for it.

    Raises LaptopError when they differ by more than the model's tolerance.
    """
    row = sagemaker.sample_row(f"{outputs['evaluation']}sample.jsonl")
    online = float(sagemaker.invoke(verify["endpoint"], row, variant))
    if not abs(online - row["prediction"]) <= verify["tolerance"]:
        raise LaptopError(f"{verify['endpoint']} answers {online} where the evaluation computed {row['prediction']}.")
    return {"input": row["body"], "online": online, "offline": row["prediction"]}


def endpoint_summary(sagemaker: SageMaker, deployed: DeployResult) -> EndpointSummary:
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
