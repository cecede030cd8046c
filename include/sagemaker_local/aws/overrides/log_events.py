"""`FilterLogEvents` and `GetLogEvents` where moto differs: the prefix of streams, and pages of at most 1 MB.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html and API_GetLogEvents.html;
the size of an event is described with PutLogEvents: its message in UTF-8 and 26 bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import TypedDict

from include.sagemaker_local.aws.overrides.json_protocol import json_reply, json_request
from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ, Headers, Reply

Run = Callable[[Environ], Reply]
"""Lets moto answer a request."""


class LogEventsRequest(TypedDict, total=False):
    """What is read here of a request; moto reads the rest."""

    logGroupName: str
    logStreamNames: list[str]
    logStreamNamePrefix: str
    startFromHead: bool
    nextToken: str
    limit: int


class LogEvent(TypedDict):
    """What is read here of an event."""

    logStreamName: str
    eventId: str
    message: str


PAGE_BYTES, PAGE_EVENTS, EVENT_BYTES = 1_048_576, 10_000, 26


def filter_log_events(context: Context, environ: Environ, run: Run) -> Reply:
    """The reply of moto for the streams of the prefix, cut to a page."""
    request: LogEventsRequest = json_request(environ)
    _check_limit(request)
    group = request.get("logGroupName", "")
    if prefix := request.pop("logStreamNamePrefix", None):
        if request.get("logStreamNames"):
            message = "LogStreamNamePrefix and LogStreamNames cannot be used together."
            raise AwsError("InvalidParameterException", message)
        request["logStreamNames"] = _streams(context, group, prefix)
        if not request["logStreamNames"]:
            return json_reply({"events": [], "searchedLogStreams": []})
    status, headers, body = _run(environ, request, run)
    if status != 200:
        return status, headers, body
    found = json.loads(body)
    fitting = _fitting(found["events"])
    if len(fitting) < len(found["events"]):
        last = fitting[-1]
        found["nextToken"] = f"{group}@{last['logStreamName']}@{last['eventId']}"  # as moto makes it
        found["events"] = fitting
    return status, _without_length(headers), json.dumps(found).encode()


def get_log_events(_: Context, environ: Environ, run: Run) -> Reply:
    """The reply of moto, cut to a page: at its end when it goes forward, at its beginning when it goes back."""
    request: LogEventsRequest = json_request(environ)
    _check_limit(request)
    status, headers, body = _run(environ, request, run)
    if status != 200:
        return status, headers, body
    found = json.loads(body)
    events = found["events"]
    token = request.get("nextToken")
    forward = token.startswith("f") if token else bool(request.get("startFromHead"))
    fitting = _fitting(events) if forward else _fitting(events[::-1])[::-1]
    if len(fitting) < len(events):
        first, last = (int(found[name][2:]) for name in ("nextBackwardToken", "nextForwardToken"))
        if forward:
            last = first + len(fitting) - 1
        else:
            first = last - len(fitting) + 1
        found |= {"events": fitting, "nextBackwardToken": f"b/{first:056d}", "nextForwardToken": f"f/{last:056d}"}
    return status, _without_length(headers), json.dumps(found).encode()


def _check_limit(request: LogEventsRequest) -> None:
    limit = request.get("limit")
    if limit is not None and not (isinstance(limit, int) and 1 <= limit <= PAGE_EVENTS):
        bound = "less than or equal to 10000" if isinstance(limit, int) and limit > 1 else "greater than or equal to 1"
        raise AwsError(
            "InvalidParameterException",
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            f"Member must have value {bound}",
        )


def _run(environ: Environ, request: LogEventsRequest, run: Run) -> Reply:
    content = json.dumps(request).encode()
    return run(environ | {"wsgi.input": io.BytesIO(content), "CONTENT_LENGTH": str(len(content))})


def _streams(context: Context, group: str, prefix: str) -> list[str]:
    """The names of a group's streams that begin so. A group that does not exist is left to moto."""
    logs = context.client("logs")
    try:
        pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, logStreamNamePrefix=prefix)
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    except logs.exceptions.ResourceNotFoundException as error:
        message = "The specified log group does not exist."
        raise AwsError("ResourceNotFoundException", message) from error


def _fitting(events: list[LogEvent]) -> list[LogEvent]:
    """The first events that fit a page; one at least."""
    size = 0
    for number, event in enumerate(events):
        size += len(event["message"].encode()) + EVENT_BYTES
        if size > PAGE_BYTES and number:
            return events[:number]
    return events


def _without_length(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name.lower() != "content-length"]
