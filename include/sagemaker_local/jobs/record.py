"""A job in the store: its status, its secondary statuses, and the event that every change makes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Generic

from include.sagemaker_local.context import Context
from include.sagemaker_local.events import emit
from include.sagemaker_local.jobs.job import LIVE_STATUSES, STOPPING, JobT, TrainingJob
from include.sagemaker_local.state.tags import tags_of

TRAINING = "training-job"
PROCESSING = "processing-job"
TRANSFORM = "transform-job"
PREFIX = {TRAINING: "Training", PROCESSING: "Processing", TRANSFORM: "Transform"}
"""What the members of a job's kind begin with: TrainingJobName, ProcessingJobName, …"""
RESTARTED = (
    "InternalServerError: We encountered an internal error.  Please try again. "
    "(the local SageMaker was restarted while the job ran)"
)
MAX_REASON = 1024


class JobRecord(Generic[JobT]):
    """The stored body of one job; `change` and what builds on it save a change and send its event."""

    def __init__(self, ctx: Context, kind: str, name: str) -> None:
        self._ctx, self._kind, self._name = ctx, kind, name
        self._prefix = PREFIX[kind]

    @property
    def body(self) -> JobT:
        """The job as it is stored now."""
        body: JobT | None = self._ctx.store.get(self._kind, self._name)
        if body is None:
            raise KeyError(f"{self._kind} {self._name}")
        return body

    @property
    def arn(self) -> str:
        """The job's ARN."""
        return self._ctx.arn(self._kind, self._name)

    @property
    def running(self) -> bool:
        """True until the job has a terminal status."""
        return self._ctx.store.get(self._kind, self._name)[f"{self._prefix}JobStatus"] in LIVE_STATUSES

    def change(self, mutate: Callable[[JobT], None]) -> JobT:
        """Apply a change, set LastModifiedTime, and send the state change event."""

        def apply(body: JobT) -> None:
            mutate(body)
            body["LastModifiedTime"] = time.time()

        body: JobT = self._ctx.store.update(self._kind, self._name, apply)
        self.announce(body)
        return body

    def announce(self, body: Mapping[str, object]) -> None:
        """Send the event of the job's present state: its description with times in milliseconds, and its tags."""
        tags = {tag["Key"]: tag["Value"] for tag in tags_of(self._ctx.store, self.arn)}
        detail = milliseconds({**body, "Tags": tags})
        if self._kind == PROCESSING:
            detail = {"ExperimentConfig": {}, **capitals(detail)}
        emit(self._ctx, f"SageMaker {self._prefix} Job State Change", self.arn, detail)

    def fail(self, reason: str, **members: object) -> JobT:
        """Make the job Failed, for this reason."""
        return self.end("Failed", "Failed", "Training job failed", FailureReason=reason[:MAX_REASON], **members)

    def end(self, status: str, secondary: str, message: str, **members: object) -> JobT:
        """Make the job's status a terminal one. `secondary` and `message` are a training job's last transition."""

        def mutate(body: Any) -> None:  # of any kind
            now = time.time()
            body.update(members)
            body[f"{self._prefix}JobStatus"] = status
            body[f"{self._prefix}EndTime"] = now
            if self._kind == TRAINING:
                enter(body, secondary, message, now)
                body["SecondaryStatusTransitions"][-1]["EndTime"] = now
                _count_seconds(body, now)

        return self.change(mutate)


def mark_stopping(kind: str, body: Any) -> None:
    """Make a job of this kind Stopping."""
    body[f"{PREFIX[kind]}JobStatus"] = STOPPING
    if kind == TRAINING:
        enter(body, STOPPING, "Stopping the training job", time.time())


def _count_seconds(body: TrainingJob, now: float) -> None:
    """A training job's duration, which is what is billed unless the body says otherwise already (Spot)."""
    if "TrainingStartTime" in body:
        seconds = max(1, round(now - body["TrainingStartTime"]))
        body["TrainingTimeInSeconds"] = seconds
        body.setdefault("BillableTimeInSeconds", seconds)


def enter(body: TrainingJob, secondary: str, message: str, now: float) -> None:
    """Begin a secondary status of a training job; the one before ends at the same moment."""
    transitions = body.setdefault("SecondaryStatusTransitions", [])
    if transitions:
        transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
    body["SecondaryStatus"] = secondary


_CAPITALS = {
    "S3Prefix": "S3_PREFIX",
    "ManifestFile": "MANIFEST_FILE",
    "File": "FILE",
    "Pipe": "PIPE",
    "FullyReplicated": "FULLYREPLICATED",
    "ShardedByS3Key": "SHARDEDBYS3KEY",
    "None": "NONE",
    "Gzip": "GZIP",
    "Continuous": "CONTINUOUS",
    "EndOfJob": "END_OF_JOB",
}
_SPELT_IN_CAPITALS = ("S3DataType", "S3InputMode", "S3DataDistributionType", "S3CompressionType", "S3UploadMode")


def capitals(value: Any, name: str = "") -> Any:
    """A copy of a processing job's body with its enumerations as events spell them.

    MANIFEST_FILE, PIPE, FULLYREPLICATED and CONTINUOUS are in AWS's sample, the others are after them.
    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """
    if isinstance(value, dict):
        return {member: capitals(part, member) for member, part in value.items()}
    if isinstance(value, list):
        return [capitals(part, name) for part in value]
    return _CAPITALS.get(value, value) if name in _SPELT_IN_CAPITALS else value


def milliseconds(value: Any, name: str = "") -> Any:
    """A copy of a body, or of a part of it named `name`, with its times as events carry them: whole milliseconds."""
    if isinstance(value, dict):
        return {member: milliseconds(part, member) for member, part in value.items()}
    if isinstance(value, list):
        return [milliseconds(part, name) for part in value]
    return round(value * 1000) if isinstance(value, float) and name.endswith(("Time", "Timestamp")) else value
