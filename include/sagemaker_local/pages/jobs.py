"""Pages about jobs for people: `/_local/jobs`, and `/_local/jobs/<training|processing|transform>/<name>`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from include.sagemaker_local.api.dispatch import service_model
from include.sagemaker_local.context import Context
from include.sagemaker_local.http.messages import Reply
from include.sagemaker_local.jobs.job import LIVE_STATUSES
from include.sagemaker_local.jobs.record import PREFIX, PROCESSING, TRAINING, TRANSFORM
from include.sagemaker_local.pages.html import Markup, badge, block, facts, link, page, paragraph, section, table, text

Body = dict[str, Any]

JOBS = "/_local/jobs"
LIST_LENGTH = 500
LOG_LINES = 1000
"""So many of the last lines of each log stream are shown."""
REFRESH_SECONDS = 5
_KINDS = {"training": TRAINING, "processing": PROCESSING, "transform": TRANSFORM}


def answer_page(context: Context, path: str) -> Reply:
    """The page at a path at or below `JOBS`; a page that says so, with status 404, when there is no such job."""
    parts = path.removeprefix(JOBS).strip("/").split("/")
    if parts == [""]:
        return _list_page(context)
    body = context.store.get(_KINDS[parts[0]], parts[1]) if len(parts) == 2 and parts[0] in _KINDS else None
    if body is None:
        return page("No such job", _navigation(), Markup("<h1>No such job</h1>"), f"{path} does not exist.", status=404)
    return _job_page(context, parts[0], parts[1], body)


def _list_page(context: Context) -> Reply:
    jobs = [(label, body) for label, kind in _KINDS.items() for body in context.store.list(kind)]
    jobs.sort(key=lambda job: float(job[1]["CreationTime"]), reverse=True)
    rows = [_row(label, body) for label, body in jobs[:LIST_LENGTH]]
    columns = ("Name", "Kind", "Status", "Created", "Duration", "Spot")
    content = table(columns, rows) if rows else "No job has been created yet."
    heading = "Newest first" + (f", {LIST_LENGTH} of {len(jobs)}" if len(jobs) > LIST_LENGTH else "")
    return page("Jobs", Markup("<nav>Local SageMaker</nav><h1>Jobs</h1>"), section(heading, content))


def _row(label: str, body: Body) -> tuple[object, ...]:
    prefix = PREFIX[_KINDS[label]]
    name = body[f"{prefix}JobName"]
    start, end = _times(label, body)
    return (
        link(f"{JOBS}/{label}/{quote(name)}", name),
        label,
        badge(body[f"{prefix}JobStatus"]),
        _moment(body["CreationTime"]),
        _duration(start, end),
        _spot(body),
    )


def _job_page(context: Context, label: str, name: str, body: Body) -> Reply:
    prefix = PREFIX[_KINDS[label]]
    status = body[f"{prefix}JobStatus"]
    parts: list[object] = [
        _navigation(),
        Markup(f"<h1>{text(name)} {badge(status)}</h1>"),
        section("Summary", facts(_summary(label, body))),
    ]
    if reason := body.get("FailureReason"):
        parts.append(section("Failure reason", paragraph(reason), css="failure"))
    if message := body.get("ExitMessage"):
        parts.append(section("Exit message", paragraph(message)))
    if transitions := body.get("SecondaryStatusTransitions"):
        parts.append(section("Transitions", _transitions(transitions)))
    if metrics := body.get("FinalMetricDataList"):
        rows = [(metric["MetricName"], metric["Value"], _moment(metric["Timestamp"])) for metric in metrics]
        parts.append(section("Final metrics", table(("Metric", "Value", "Time"), rows)))
    parts.append(section("Log", *_log(context, f"/aws/sagemaker/{prefix}Jobs", name)))
    parts.append(section("Request", block(json.dumps(_request(context, prefix, body), indent=2, ensure_ascii=False))))
    return page(f"{name}: {status}", *parts, refresh_seconds=REFRESH_SECONDS if status in LIVE_STATUSES else 0)


def _navigation() -> Markup:
    return Markup(f"<nav>Local SageMaker / {link(JOBS, 'Jobs')}</nav>")


def _summary(label: str, body: Body) -> list[tuple[str, object]]:
    start, end = _times(label, body)
    resources = body.get("ResourceConfig") or body.get("TransformResources") or body.get("ProcessingResources", {})
    cluster = resources.get("ClusterConfig", resources)
    pairs: list[tuple[str, object]] = [
        ("Kind", label),
        ("Created", _moment(body["CreationTime"])),
        ("Started", _moment(start)),
        ("Ended", _moment(end)),
        ("Duration", _duration(start, end)),
        ("Instances", f"{cluster.get('InstanceCount', 1)} x {cluster.get('InstanceType', '-')}"),
    ]
    if label == "training":
        pairs += _training_summary(body)
    return pairs


def _training_summary(body: Body) -> list[tuple[str, object]]:
    training, billable = body.get("TrainingTimeInSeconds"), body.get("BillableTimeInSeconds")
    pairs: list[tuple[str, object]] = [("Secondary status", body["SecondaryStatus"]), ("Spot", _spot(body))]
    if training is not None and billable is not None:
        pairs += [("Training time", f"{training} s"), ("Billable time", f"{billable} s")]
        if body["EnableManagedSpotTraining"]:
            pairs.append(("Spot savings", f"{(1 - billable / training) * 100:.0f} %"))
    if artefact := body.get("ModelArtifacts", {}).get("S3ModelArtifacts"):
        pairs.append(("Model artefact", artefact))
    return pairs


def _spot(body: Body) -> str:
    if not body.get("EnableManagedSpotTraining"):
        return "-"
    count = sum(transition["Status"] == "Interrupted" for transition in body["SecondaryStatusTransitions"])
    return f"{count} interruption{'' if count == 1 else 's'}"


def _transitions(transitions: list[Body]) -> Markup:
    rows = [
        (
            item["Status"],
            _moment(item["StartTime"]),
            _duration(item["StartTime"], item.get("EndTime")),
            item.get("StatusMessage", ""),
        )
        for item in transitions
    ]
    return table(("Status", "From", "Duration", "Message"), rows)


def _log(context: Context, group: str, name: str) -> list[object]:
    """The lines of all streams: every attempt of a Spot job has one of its own."""
    logs = context.client("logs")
    parts: list[object] = []
    for stream in _streams(logs, group, f"{name}/"):
        events = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], limit=LOG_LINES, startFromHead=False
        )["events"]
        note = f" (the last {LOG_LINES} lines)" if len(events) == LOG_LINES else ""
        lines = [f"{_clock(event['timestamp'] / 1000)}  {event['message']}" for event in events]
        if lines:
            parts.append(block("\n".join(lines), stream["logStreamName"] + note))
    return parts or ["Nothing has been logged."]


def _streams(logs: Any, group: str, prefix: str) -> list[Body]:
    """The log streams whose names begin with the prefix, oldest first."""
    pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, logStreamNamePrefix=prefix)
    try:
        streams = [stream for part in pages for stream in part["logStreams"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return sorted(streams, key=lambda stream: int(stream["creationTime"]))


def _request(context: Context, prefix: str, body: Body) -> Body:
    """What the job was created with: the members of the Create request, and its tags."""
    shape = service_model().operation_model(f"Create{prefix}Job").input_shape
    request = {member: value for member, value in body.items() if shape and member in shape.members}
    tags = context.store.get("tags", body[f"{prefix}JobArn"])
    return {**request, **(tags or {})}


def _times(label: str, body: Body) -> tuple[float | None, float | None]:
    prefix = PREFIX[_KINDS[label]]
    return body.get(f"{prefix}StartTime"), body.get(f"{prefix}EndTime")


def _moment(moment: float | None) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "-"


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S.%f")[:-3]


def _duration(start: float | None, end: float | None) -> str:
    if start is None:
        return "-"
    seconds = (end or time.time()) - start
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
