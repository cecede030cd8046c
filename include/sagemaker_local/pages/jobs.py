"""Pages about jobs for people: `/_local/jobs`, and `/_local/jobs/<training|processing|transform>/<name>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from include.sagemaker_local.api.dispatch import service_model
from include.sagemaker_local.context import Context
from include.sagemaker_local.http.types import Reply
from include.sagemaker_local.jobs.job import LIVE_STATUSES
from include.sagemaker_local.jobs.record import PREFIX, PROCESSING, TRAINING, TRANSFORM
from include.sagemaker_local.pages.render import page

JOBS = "/_local/jobs"
LIST_LENGTH = 500
LOG_LINES = 1000
"""So many of the last lines of each log stream are shown."""
_TRAIL = {"address": JOBS, "label": "Jobs"}
_KINDS = {"training": TRAINING, "processing": PROCESSING, "transform": TRANSFORM}


def answer_page(context: Context, path: str) -> Reply:
    """The page at a path at or below `JOBS`; a page that says so, with status 404, when there is no such job."""
    parts = path.removeprefix(JOBS).strip("/").split("/")
    if parts == [""]:
        jobs = [Job(kind, body) for kind, stored in _KINDS.items() for body in context.store.list(stored)]
        jobs.sort(key=lambda job: job.created, reverse=True)
        return page("jobs.html", jobs=jobs[:LIST_LENGTH], count=len(jobs))
    body = context.store.get(_KINDS[parts[0]], parts[1]) if len(parts) == 2 and parts[0] in _KINDS else None
    if body is None:
        message = f"{path} does not exist."
        return page("message.html", 404, trail=_TRAIL, heading="No such job", message=message)
    job = Job(parts[0], body)
    log = _log(context, f"/aws/sagemaker/{job.prefix}Jobs", job.name)
    return page("job.html", trail=_TRAIL, job=job, body=body, log=log, request=_request(context, job))


class Job:
    """A job as the pages show it.

    Args:
        kind: `training`, `processing` or `transform`, as in the page's address.
        body: the stored job, in the shape of its Describe answer.
    """

    def __init__(self, kind: str, body: Mapping[str, Any]) -> None:
        self.kind, self.body, self.prefix = kind, body, PREFIX[_KINDS[kind]]
        self.name: str = body[f"{self.prefix}JobName"]
        self.arn: str = body[f"{self.prefix}JobArn"]
        self.status: str = body[f"{self.prefix}JobStatus"]
        self.running = self.status in LIVE_STATUSES
        self.address = f"{JOBS}/{kind}/{quote(self.name)}"
        self.created: float = body["CreationTime"]
        self.start: float | None = body.get(f"{self.prefix}StartTime")
        self.end: float | None = body.get(f"{self.prefix}EndTime")

    @property
    def spot(self) -> str:
        """How often it was interrupted, `-` for a job that is not on Spot."""
        if not self.body.get("EnableManagedSpotTraining"):
            return "-"
        count = sum(transition["Status"] == "Interrupted" for transition in self.body["SecondaryStatusTransitions"])
        return f"{count} interruption{'' if count == 1 else 's'}"

    @property
    def instances(self) -> str:
        """How many, and of which type."""
        members = ("ResourceConfig", "TransformResources", "ProcessingResources")
        resources: Mapping[str, Any] = next((self.body[name] for name in members if self.body.get(name)), {})
        cluster = resources.get("ClusterConfig", resources)
        return f"{cluster.get('InstanceCount', 1)} x {cluster.get('InstanceType', '-')}"


@dataclass(frozen=True)
class LogStream:
    """The last lines of a log stream; every attempt of a Spot job has a stream of its own."""

    name: str
    lines: list[str]
    cut: bool


def _log(context: Context, group: str, job: str) -> list[LogStream]:
    """The streams of a job in which something has been logged, oldest first."""
    logs = context.client("logs")
    pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, logStreamNamePrefix=f"{job}/")
    try:
        streams = [stream for part in pages for stream in part["logStreams"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
    streams.sort(key=lambda stream: int(stream["creationTime"]))
    found = [_log_stream(logs, group, stream["logStreamName"]) for stream in streams]
    return [stream for stream in found if stream.lines]


def _log_stream(logs: Any, group: str, name: str) -> LogStream:
    request = {"logGroupName": group, "logStreamName": name, "limit": LOG_LINES, "startFromHead": False}
    events = logs.get_log_events(**request)["events"]
    lines = [f"{_clock(event['timestamp'] / 1000)}  {event['message']}" for event in events]
    return LogStream(name, lines, cut=len(events) == LOG_LINES)


def _request(context: Context, job: Job) -> dict[str, object]:
    """What the job was created with: the members of the Create request, and its tags."""
    shape = service_model().operation_model(f"Create{job.prefix}Job").input_shape
    request = {member: value for member, value in job.body.items() if shape and member in shape.members}
    return {**request, **(context.store.get("tags", job.arn) or {})}


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]
