"""Captured requests and answers of an endpoint: where data capture puts them, and what a line holds.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Event:
    """One captured request with its answer, as texts; `inference_id` is the caller's InferenceId, if it sent one."""

    inference_id: str | None
    at: str
    request: str
    answer: str


def hourly_prefixes(destination: str, endpoint: str, variant: str, start: datetime, end: datetime) -> Iterator[str]:
    """The S3 URIs that hold the hours from `start` to `end`: `<destination>/<endpoint>/<variant>/YYYY/MM/DD/HH/`."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour <= end:
        yield f"{destination.rstrip('/')}/{endpoint}/{variant}/{hour:%Y/%m/%d/%H}/"
        hour += timedelta(hours=1)


def read_event(line: bytes) -> Event | None:
    """An event of a capture file (JSON Lines); None where only the request or only the answer was captured."""
    event = json.loads(line)
    data, metadata = event["captureData"], event["eventMetadata"]
    if "endpointInput" not in data or "endpointOutput" not in data:
        return None
    return Event(
        inference_id=metadata.get("inferenceId"),
        at=metadata["inferenceTime"],
        request=_text(data["endpointInput"]),
        answer=_text(data["endpointOutput"]),
    )


def _text(direction: Mapping[str, Any]) -> str:
    if direction.get("encoding") == "BASE64":
        return base64.b64decode(direction["data"]).decode(errors="replace")
    return str(direction["data"])
