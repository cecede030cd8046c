"""What the driver reads from SageMaker about a run: its jobs, the training's log, the endpoint, the capture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypedDict

from include.laptop.layout import Addresses
from include.laptop.stack.clients import client
from sagemaker_retraining.outcomes import interruptions, processing_result, savings_percent, training_result
from sagemaker_retraining.plan.document import PlanDocument
from sagemaker_retraining.requests.hosting import CHALLENGER
from sagemaker_retraining.s3_uri import split_s3_uri

JOB_STEPS = {"preprocess": "processing", "train": "training", "evaluate": "processing"}


class JobSummary(TypedDict):
    """A job in last-run.json. Of processing all seconds are billed.

    Seconds are those of one instance: what is paid is `billable_seconds` times `instance_count`.
    """

    step: str
    name: str
    status: str
    instance_count: int
    training_seconds: int
    billable_seconds: int
    savings_pct: float
    interruptions: int
    spot: bool


class SampleRow(TypedDict):
    """A line of an evaluation's sample.jsonl: what to send to the endpoint, and what the evaluation predicted."""

    content_type: str
    body: str
    prediction: float


@dataclass
class SageMaker:
    """The SageMaker of the stack, asked as any boto3 program would."""

    where: Addresses

    def __post_init__(self) -> None:
        self.api = client("sagemaker", self.where)
        self.s3 = client("s3", self.where)

    def job_detail(self, step: str, name: str) -> str:
        """`Training (interrupted once)`: what the job of a step does now; empty when there is none yet."""
        job = self.latest_job(step, name)
        if job is None:
            return ""
        if JOB_STEPS[step] == "processing":
            return str(job["ProcessingJobStatus"])
        count = interruptions(job)
        times = f", {count} Spot interruption{'s' if count > 1 else ''}" if count else ""
        return f"{job['SecondaryStatus']}{times}"

    def latest_job(self, step: str, name: str) -> dict[str, Any] | None:
        """The job of a step as SageMaker describes it: of its generations (`name`, `name-g2`, …) the last, or None."""
        kind = JOB_STEPS[step].capitalize()
        newest = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 1}
        found = getattr(self.api, f"list_{kind.lower()}_jobs")(NameContains=name, **newest)[f"{kind}JobSummaries"]
        if not found:
            return None
        latest = {f"{kind}JobName": found[0][f"{kind}JobName"]}
        described: dict[str, Any] = getattr(self.api, f"describe_{kind.lower()}_job")(**latest)
        return described

    def job_summary(self, step: str, name: str) -> JobSummary | None:
        """What the job of a step came to; None when it was never started."""
        job = self.latest_job(step, name)
        if job is None:
            return None
        if JOB_STEPS[step] == "processing":
            processing = processing_result(job)
            seconds = billable = round(processing["seconds"] or 0)
            name, status, count = processing["name"], processing["status"], processing["instance_count"]
        else:
            training = training_result(job)
            seconds = training["training_seconds"] or 0
            billable = seconds if training["billable_seconds"] is None else training["billable_seconds"]
            name, status, count = training["name"], training["status"], training["instance_count"]
        return {
            "step": step,
            "name": name,
            "status": status,
            "instance_count": count or 1,
            "training_seconds": seconds,
            "billable_seconds": billable,
            "savings_pct": savings_percent(seconds, billable) or 0.0,
            "interruptions": interruptions(job),
            "spot": bool(job.get("EnableManagedSpotTraining")),
        }

    def resume_line(self, training_job: str) -> str | None:
        """The line of the training's CloudWatch log that says from where it went on after the interruption."""
        logs, group = client("logs", self.where), "/aws/sagemaker/TrainingJobs"
        found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{training_job}/")["logStreams"]
        lines = [
            event["message"].strip()
            for stream in sorted(item["logStreamName"] for item in found)
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        ]
        resumed = [line for line in lines if "resum" in line.lower() and "round" in line.lower()]
        return resumed[-1] if resumed else None

    def invoke(self, endpoint: str, row: SampleRow, variant: str) -> str:
        """The endpoint's answer to one row of the sample; a challenger is asked by name."""
        chosen = {"TargetVariant": variant} if variant == CHALLENGER else {}
        runtime = client("sagemaker-runtime", self.where)
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=row["content_type"], Accept="text/csv", Body=row["body"], **chosen
        )
        return str(answer["Body"].read().decode().strip())

    def capture_objects(self, endpoint: str) -> int:
        """How many objects data capture has written for the endpoint."""
        capture = self.api.describe_endpoint(EndpointName=endpoint).get("DataCaptureConfig")
        if not capture:
            return 0
        bucket, prefix = split_s3_uri(capture["DestinationS3Uri"].rstrip("/") + f"/{endpoint}/")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sum(page["KeyCount"] for page in pages)

    def read(self, uri: str) -> bytes:
        """An object of S3."""
        bucket, key = split_s3_uri(uri)
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def sample_row(self, uri: str) -> SampleRow:
        """The first row of a run's sample."""
        row: SampleRow = json.loads(self.read(uri).splitlines()[0])
        return row


def job_names(plan: PlanDocument | None) -> dict[str, str]:
    """Step → name of its first job; none as long as there is no plan."""
    if plan is None:
        return {}
    return {
        "preprocess": plan["preprocess"]["ProcessingJobName"],
        "train": plan["train"]["TrainingJobName"],
        "evaluate": plan["evaluate"]["ProcessingJobName"],
    }
