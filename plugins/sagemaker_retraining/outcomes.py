"""What the end of a job means, what it cost, and what of it is passed on. Pure: Describe responses in.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, TypedDict

# boto3's answer to Describe of a job of any kind: each kind has members of its own, and spells the common ones its way.
Description = Mapping[str, Any]


class TrainingResult(TypedDict):
    """The XCom of a training job; times are ISO 8601 in UTC, None where there is none."""

    name: str
    arn: str
    status: str
    secondary_status: str | None
    model_artifact: str | None
    metrics: dict[str, float | None]
    training_seconds: int | None
    billable_seconds: int | None
    instance_count: int | None
    savings_pct: float | None
    interruptions: int
    spot: bool
    started_at: str | None
    ended_at: str | None


class ProcessingResult(TypedDict):
    """The XCom of a processing job; `outputs` are URIs by name.

    The API has no billable figure for processing: `seconds` times `instance_count` is what is billed.
    """

    name: str
    arn: str
    status: str
    exit_message: str | None
    seconds: float | None
    instance_count: int | None
    outputs: dict[str, str]
    started_at: str | None
    ended_at: str | None


class TransformResult(TypedDict):
    """The XCom of a transform job; `output` is an S3 prefix."""

    name: str
    arn: str
    status: str
    model: str
    output: str
    seconds: float | None
    instance_count: int
    started_at: str | None
    ended_at: str | None


JobResult = TrainingResult | ProcessingResult | TransformResult


class Outcome(StrEnum):
    """How a job ended, or that it has not."""

    RUNNING = "running"
    COMPLETED = "completed"
    SPOT_TIMEOUT = "spot timeout"
    RUNTIME_LIMIT = "runtime limit"
    STOPPED = "stopped"
    CAPACITY = "capacity"
    QUOTA = "quota"
    THROTTLED = "throttled"
    SERVICE_FAULT = "service fault"
    ALGORITHM_ERROR = "algorithm error"
    CLIENT_ERROR = "client error"


class JobError(Exception):
    """A job did not end well."""

    outcome: ClassVar[Outcome]
    advice: ClassVar[str] = ""


class SpotTimeout(JobError):
    """MaxWaitTimeInSeconds passed before the training was over, or before there was any capacity."""

    outcome = Outcome.SPOT_TIMEOUT
    advice = "it resumes from its checkpoints; raise train.spot.max_wait_seconds, or train on demand"


class RuntimeLimit(JobError):
    """MaxRuntimeInSeconds passed."""

    outcome = Outcome.RUNTIME_LIMIT
    advice = "raise max_runtime_seconds of the step, or give it a larger instance"


class JobStopped(JobError):
    """Somebody stopped the job from outside this task."""

    outcome = Outcome.STOPPED
    advice = "stopped from outside this task; clear the task to run it again"


class CapacityError(JobError):
    """There is no such instance to be had now."""

    outcome = Outcome.CAPACITY
    advice = "try again later, or choose another instance_type"


class QuotaTooSmall(JobError):
    """The account may never have so many such instances, however long one waits."""

    outcome = Outcome.QUOTA
    advice = "ask for an increase of that quota in Service Quotas, or choose another instance_type"


class Throttled(JobError):
    """The service was asked too often."""

    outcome = Outcome.THROTTLED
    advice = "try again later"


class ServiceFault(JobError):
    """SageMaker's own failure."""

    outcome = Outcome.SERVICE_FAULT
    advice = "try again"


class AlgorithmError(JobError):
    """The script failed."""

    outcome = Outcome.ALGORITHM_ERROR
    advice = "the script failed: see the job's log"


class JobClientError(JobError):
    """The request or its data was not acceptable: no such prefix, out of memory, no permission."""

    outcome = Outcome.CLIENT_ERROR
    advice = "correct the request, its data or the role"


ERRORS: dict[Outcome, type[JobError]] = {
    error.outcome: error
    for error in (
        SpotTimeout,
        RuntimeLimit,
        JobStopped,
        CapacityError,
        QuotaTooSmall,
        Throttled,
        ServiceFault,
        AlgorithmError,
        JobClientError,
    )
}
LIVE = frozenset({"InProgress", "Stopping"})
"""The statuses of a job that has not ended."""
_KINDS = ("Training", "Processing", "Transform")
_STOPPED = {"MaxWaitTimeExceeded": Outcome.SPOT_TIMEOUT, "MaxRuntimeExceeded": Outcome.RUNTIME_LIMIT}
# What passes by itself, by the words of the service; SageMaker reports S3's and ECR's trouble as a ClientError.
# "Unable to execute request to S3": https://github.com/aws-samples/sagemaker-run-notebook/issues/32
_PASSING = (
    ("CapacityError", Outcome.CAPACITY),
    ("Unable to provision requested ML compute capacity", Outcome.CAPACITY),
    ("ResourceLimitExceeded", Outcome.CAPACITY),
    ("account-level service limit", Outcome.CAPACITY),
    ("Throttling", Outcome.THROTTLED),
    ("Rate exceeded", Outcome.THROTTLED),
    ("InternalServerError", Outcome.SERVICE_FAULT),
    ("Request to service failed", Outcome.SERVICE_FAULT),
    ("Unable to execute request to S3", Outcome.SERVICE_FAULT),
)
_LIMIT = re.compile(r"is (\d+) \w+.*request delta of (\d+)", re.DOTALL)
# Better advice than the outcome's own, by what the service says.
_NO_ROUTE = (
    "try again; if it stays, the subnets of the jobs have no route to S3: give their route tables a gateway endpoint "
    "for S3 or a NAT gateway"
)
_MEMORY = "out of memory: give the step a larger instance_type"
_ADVICE = (
    ("instance type with more memory", _MEMORY),
    ("Out of Memory", _MEMORY),
    (
        "exit code: 137",
        "the script was killed, most often for want of memory: a larger instance_type; see the job's log",
    ),
    ("Unable to execute request to S3", _NO_ROUTE),
    ("route to an S3 VPC endpoint", _NO_ROUTE),
    (
        "Could not assume role",
        "is role_arn the role's whole ARN, with its path? The role must exist and trust SageMaker "
        "(include/iam/execution-role.trust.json)",
    ),
    ("No S3 objects found", "put the data there, or let the role list the bucket (s3:ListBucket)"),
    (
        "spot training job usage",
        "Spot has a quota of its own: ask for an increase in Service Quotas, choose another instance_type, or train on "
        "demand (train.spot.enabled: false)",
    ),
    (
        "training job usage",
        "training on demand has a quota of its own: ask for an increase in Service Quotas, choose another "
        "instance_type, or stay on Spot (train.spot.on_demand_after: never)",
    ),
)


def classify(status: str, secondary_status: str | None = None, failure_reason: str | None = None) -> Outcome:
    """The outcome of a job in `status`.

    Raises ValueError for a status that SageMaker's API does not have.
    """
    if status in LIVE:
        return Outcome.RUNNING
    if status == "Completed":
        return Outcome.COMPLETED
    if status == "Stopped":
        return _STOPPED.get(secondary_status or "", Outcome.STOPPED)
    if status != "Failed":
        raise ValueError(f"unknown job status {status!r}")
    return _STOPPED.get(secondary_status or "") or _of_reason(failure_reason or "")


def _of_reason(reason: str) -> Outcome:
    """A script's own message may name any error: it is the script's failure all the same."""
    if reason.startswith("AlgorithmError"):
        return Outcome.ALGORITHM_ERROR
    if passing := passing_outcome(reason):
        return passing
    if "AlgorithmError" in reason:
        return Outcome.ALGORITHM_ERROR
    return Outcome.CLIENT_ERROR if "ClientError" in reason else Outcome.SERVICE_FAULT


def passing_outcome(reason: str) -> Outcome | None:
    """The outcome of a FailureReason, of a job or an endpoint, that says what passes by itself; None of any other.

    CAPACITY, THROTTLED or SERVICE_FAULT; QUOTA where the account's limit is in the way and will be the next time too.
    """
    found = next((outcome for text, outcome in _PASSING if text in reason), None)
    return Outcome.QUOTA if found is Outcome.CAPACITY and is_beyond_quota(reason) else found


def is_beyond_quota(message: str) -> bool:
    """Whether a request asks for more than the account's limit, whatever else runs: always so with a limit of 0.

    "The account-level service limit 'ml.m5.large for training job usage' is 0 Instances, with current utilization of 0
    Instances and a request delta of 1 Instances. …"
    """
    numbers = _LIMIT.search(message)
    return numbers is not None and int(numbers[2]) > int(numbers[1])


def advice(outcome: Outcome, reason: str) -> str:
    """What to do about an outcome, in view of the reason that the service gives."""
    return next((text for words, text in _ADVICE if words in reason), ERRORS[outcome].advice)


def outcome_of(description: Description) -> Outcome:
    """The outcome of a described training, processing or transform job."""
    status = _of_kind(description, "Status")
    secondary = description.get("SecondaryStatus") or _runtime_limit_of_processing(description)
    return classify(str(status), secondary, description.get("FailureReason"))


def _of_kind(description: Description, member: str) -> str | None:
    """`TrainingJobStatus` of a training job, and so on: Describe spells each after its kind."""
    return next((description[f"{kind}Job{member}"] for kind in _KINDS if f"{kind}Job{member}" in description), None)


def _runtime_limit_of_processing(description: Description) -> str | None:
    """A processing job has no secondary status: one that was stopped at its limit ran as long as its limit."""
    limit = description.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
    seconds = _seconds_between(description.get("ProcessingStartTime"), description.get("ProcessingEndTime"))
    return "MaxRuntimeExceeded" if limit and seconds is not None and seconds >= limit else None


def reason_is_in_log(description: Description) -> bool:
    """Whether a described job failed for a reason that only its log tells: the script's, or a transform's."""
    return outcome_of(description) is Outcome.ALGORITHM_ERROR or "See job logs" in description.get("FailureReason", "")


def raise_for_outcome(description: Description, end_of_log: str = "") -> None:
    """Raise the JobError of a described job that ended in any way but Completed, with the end of its log.

    Raises ValueError when it has not ended.
    """
    outcome = outcome_of(description)
    name = _of_kind(description, "Name")
    if outcome is Outcome.RUNNING:
        raise ValueError(f"{name} has not ended")
    if outcome is Outcome.COMPLETED:
        return
    error = ERRORS[outcome]
    reason = description.get("FailureReason") or description.get("ExitMessage")
    message = f"{name}: {outcome}{f': {reason}' if reason else ''} ({advice(outcome, reason or '')})"
    raise error(f"{message}\n{end_of_log}" if end_of_log else message)


def rejection(code: str, message: str, *, passing: bool) -> JobError:
    """The error of a job that SageMaker refused to create; `passing`: the refusal goes away by itself.

    A limit of the account on instances is capacity, because another job's end frees it, unless it is too small for this
    job alone.
    """
    if code == "ResourceLimitExceeded":
        error: type[JobError] = QuotaTooSmall if is_beyond_quota(message) else CapacityError
    elif passing:
        error = Throttled if "Throttl" in code else ServiceFault
    else:
        error = JobClientError
    return error(f"{code}: {message} ({advice(error.outcome, message)})")


def savings_percent(training_seconds: float | None, billable_seconds: float | None) -> float | None:
    """(1 - billable / training) * 100, one decimal, as SageMaker's console shows it; None when it never ran."""
    if not training_seconds or billable_seconds is None:
        return None
    return round((1 - billable_seconds / training_seconds) * 100, 1)


def interruptions(description: Description) -> int:
    """How often Spot took the instance away."""
    return sum(item["Status"] == "Interrupted" for item in description.get("SecondaryStatusTransitions", []))


def training_result(description: Description) -> TrainingResult:
    """What is passed on of a described training job."""
    training, billable = description.get("TrainingTimeInSeconds"), description.get("BillableTimeInSeconds")
    return {
        "name": description["TrainingJobName"],
        "arn": description["TrainingJobArn"],
        "status": description["TrainingJobStatus"],
        "secondary_status": description.get("SecondaryStatus"),
        "model_artifact": description.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
        "metrics": {item["MetricName"]: _finite(item["Value"]) for item in description.get("FinalMetricDataList", [])},
        "training_seconds": training,
        "billable_seconds": billable,
        "instance_count": description.get("ResourceConfig", {}).get("InstanceCount"),
        "savings_pct": savings_percent(training, billable),
        "interruptions": interruptions(description),
        "spot": bool(description.get("EnableManagedSpotTraining")),
        "started_at": _iso(description.get("TrainingStartTime")),
        "ended_at": _iso(description.get("TrainingEndTime")),
    }


def processing_result(description: Description) -> ProcessingResult:
    """What is passed on of a described processing job."""
    start, end = description.get("ProcessingStartTime"), description.get("ProcessingEndTime")
    outputs = description.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return {
        "name": description["ProcessingJobName"],
        "arn": description["ProcessingJobArn"],
        "status": description["ProcessingJobStatus"],
        "exit_message": description.get("ExitMessage"),
        "seconds": _seconds_between(start, end),
        "instance_count": description.get("ProcessingResources", {}).get("ClusterConfig", {}).get("InstanceCount"),
        "outputs": {item["OutputName"]: item["S3Output"]["S3Uri"] for item in outputs},
        "started_at": _iso(start),
        "ended_at": _iso(end),
    }


def transform_result(description: Description) -> TransformResult:
    """What is passed on of a described transform job."""
    start, end = description.get("TransformStartTime"), description.get("TransformEndTime")
    return {
        "name": description["TransformJobName"],
        "arn": description["TransformJobArn"],
        "status": description["TransformJobStatus"],
        "model": description["ModelName"],
        "output": description["TransformOutput"]["S3OutputPath"],
        "seconds": _seconds_between(start, end),
        "instance_count": description["TransformResources"]["InstanceCount"],
        "started_at": _iso(start),
        "ended_at": _iso(end),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def _seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 3) if start and end else None


def _finite(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else None
