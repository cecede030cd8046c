"""Data capture: requests and answers of an endpoint as JSON lines in S3, in the layout and format of SageMaker.

An event is first appended to a spool file under the state directory, which costs microseconds and survives a kill -9;
about once a second the spool files go to S3, one object each, and are removed once they are there.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from include.sagemaker_local.containers.transfers import encryption
from include.sagemaker_local.context import Context
from include.sagemaker_local.s3_uri import split_s3

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DataCaptureConfigOutputTypeDef

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Payload:
    """One direction of an invocation: its content type and its bytes."""

    content_type: str
    data: bytes


@dataclass(frozen=True)
class CaptureConfig:
    """An endpoint config's DataCaptureConfig, ready for use on every request."""

    percentage: int
    destination: str
    modes: frozenset[str]
    csv_types: frozenset[str]
    json_types: frozenset[str]
    kms_key: str | None

    @classmethod
    def parse(cls, body: DataCaptureConfigOutputTypeDef | None) -> CaptureConfig | None:
        """None when there is nothing to capture: no config, or capture disabled in it."""
        if not body or not body.get("EnableCapture", True):
            return None
        header = body.get("CaptureContentTypeHeader") or {}
        return cls(
            percentage=body["InitialSamplingPercentage"],
            destination=body["DestinationS3Uri"].rstrip("/"),
            modes=frozenset(option["CaptureMode"] for option in body["CaptureOptions"]),
            csv_types=frozenset(kind.lower() for kind in header.get("CsvContentTypes", [])),
            json_types=frozenset(kind.lower() for kind in header.get("JsonContentTypes", [])),
            kms_key=body.get("KmsKeyId"),
        )

    def sampled(self) -> bool:
        """Draw whether this request is captured; certain at 100, never at 0."""
        return random.random() * 100 < self.percentage  # noqa: S311 - sampling, not secrecy

    def captures(self, mode: str) -> bool:
        """Whether this direction (`Input`, `Output`) is captured."""
        return mode in self.modes or "InputAndOutput" in self.modes

    def encode(self, payload: Payload, mode: str) -> dict[str, str]:
        """The event's member for one direction: CSV and JSON types as text, everything else (and no text) as base64."""
        media_type = payload.content_type.partition(";")[0].strip().lower()
        encoding = "CSV" if media_type in self.csv_types else "JSON" if media_type in self.json_types else "BASE64"
        try:
            data = payload.data.decode() if encoding != "BASE64" else base64.b64encode(payload.data).decode()
        except UnicodeDecodeError:
            encoding, data = "BASE64", base64.b64encode(payload.data).decode()
        return {"observedContentType": payload.content_type, "mode": mode.upper(), "data": data, "encoding": encoding}


def event_line(
    config: CaptureConfig, request: Payload, answer: Payload, inference_id: str | None, at: datetime
) -> bytes:
    """One line of a capture file."""
    data = {}
    if config.captures("Input"):
        data["endpointInput"] = config.encode(request, "Input")
    if config.captures("Output"):
        data["endpointOutput"] = config.encode(answer, "Output")
    metadata = {"eventId": str(uuid.uuid4())}
    if inference_id:
        metadata["inferenceId"] = inference_id
    metadata["inferenceTime"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


class Spool:
    """An open file of events that will become one object. Its first line says where the object goes."""

    def __init__(self, directory: Path, config: CaptureConfig, stream: str, at: datetime) -> None:
        bucket, prefix = split_s3(config.destination)
        name = f"{at:%Y/%m/%d/%H/%M-%S}-{at.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        key = "/".join(part for part in (prefix.strip("/"), stream, name) if part)
        self.hour = (at.date(), at.hour)
        self.path = directory / f"{uuid.uuid4()}.jsonl"
        self._file: IO[bytes] = self.path.open("wb", buffering=0)
        self.write(json.dumps({"Bucket": bucket, "Key": key, "KmsKeyId": config.kms_key}).encode() + b"\n")

    def write(self, line: bytes) -> None:
        """Append, past Python's own buffers, so that the line outlives this process."""
        self._file.write(line)

    def close(self) -> None:
        """No more lines."""
        self._file.close()


class Capture:
    """All spools of the server. `append` is called on every sampled request, `flush` in the background."""

    def __init__(self, ctx: Context, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._ctx = ctx
        self._directory = directory
        self._lock = threading.Lock()
        self._uploading = threading.Lock()
        self._open: dict[tuple[str, CaptureConfig], Spool] = {}
        self._closed: list[Path] = sorted(directory.glob("*.jsonl"))

    def append(self, config: CaptureConfig, stream: str, line: bytes, at: datetime) -> None:
        """Keep one event; `stream` is `<endpoint>/<variant>`. An object holds events of the hour in its key."""
        with self._lock:
            spool = self._open.get((stream, config))
            if spool is None or spool.hour != (at.date(), at.hour):
                if spool is not None:
                    self._finish(spool)
                spool = self._open[stream, config] = Spool(self._directory, config, stream, at)
            spool.write(line)

    def _finish(self, spool: Spool) -> None:
        spool.close()
        self._closed.append(spool.path)

    def flush(self) -> None:
        """Bring everything recorded so far to S3. What cannot be stored stays in its spool file and is tried again."""
        with self._uploading:
            with self._lock:
                for spool in self._open.values():
                    self._finish(spool)
                self._open.clear()
                waiting, self._closed = self._closed, []
            refused: set[str] = set()
            failed = [path for path in waiting if not self._upload(path, refused)]
            with self._lock:
                self._closed = failed + self._closed

    def _upload(self, path: Path, refused: set[str]) -> bool:
        """Store one spool. `refused` collects the buckets that failed in this round: each is tried only once."""
        header, _, events = path.read_bytes().partition(b"\n")
        try:
            target = json.loads(header)
        except ValueError:  # killed while the first line was written: there is no event in it
            path.unlink()
            return True
        if target["Bucket"] in refused:
            return False
        try:
            if events:
                self._ctx.client("s3").put_object(
                    Bucket=target["Bucket"],
                    Key=target["Key"],
                    Body=events,
                    ContentType="application/jsonlines",
                    **encryption(target["KmsKeyId"]),
                )
        except Exception as error:
            log.warning("data capture: s3://%s/%s: %s; will be tried again", target["Bucket"], target["Key"], error)
            refused.add(target["Bucket"])
            return False
        path.unlink()
        return True
