"""Sends the requests of a recording to a fresh local SageMaker."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from include.aws_smoke.recorder import answer_of, as_json, error_of, states
from include.aws_smoke.recording import FORMAT, About, Answer, Call, Outcome, RecordedCall, Request
from include.aws_smoke.redact import BUCKET

REGION = "us-east-1"
_START_SECONDS, _WAIT_SECONDS = 60.0, 300.0


class RecordingError(Exception):
    """The file is not a recording; the message says why."""


def read(file: Path) -> tuple[About, list[RecordedCall]]:
    """What the recording says of itself, and its lines. Raises RecordingError."""
    try:
        about, *lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise RecordingError(f"{file} is not a recording of make aws-smoke: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RecordingError(f"{file} is not a recording of make aws-smoke: its first line has no format {FORMAT}")
    return cast("About", about), lines


@contextmanager
def local_sagemaker(python: Path) -> Iterator[str]:
    """The address of a server with a state of its own, which ends with the context."""
    with TemporaryDirectory(prefix="compare-") as folder:
        port, log = _free_port(), Path(folder) / "log"
        command = [sys.executable, "-m", "include.sagemaker_local", "--port", str(port), "--python", str(python)]
        command += ["--state", f"{folder}/state", "--stop-grace-seconds", "1"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for_health(url, process, log)
            yield url
        finally:
            process.terminate()
            process.wait()


def replay(about: About, lines: list[RecordedCall], url: str) -> Iterator[tuple[RecordedCall, Outcome]]:
    """Each line of the recording beside the line that it would be here."""
    import boto3

    session: Any = boto3.Session("compare", "compare", region_name=REGION)
    clients: dict[str, Any] = {}
    session.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
    for line in lines:
        service = line["service"]
        if service not in clients:
            clients[service] = session.client(service, endpoint_url=url)
        yield line, _ours(clients[service], line, restored(line["request"], about.get("region", REGION)))


def restored(value: Any, region: str) -> Any:
    """A recorded request, ready to be sent here: bytes are bytes, and ARNs of resources are of the server's region."""
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            return base64.b64decode(value["base64"])
        if set(value) == {"utf-8"}:
            return str(value["utf-8"]).encode()
        return {key: restored(item, region) for key, item in value.items()}
    if isinstance(value, list):
        return [restored(item, region) for item in value]
    if isinstance(value, str):
        return re.sub(rf"arn:aws[a-z-]*:([a-z0-9-]+):{re.escape(region)}:", rf"arn:aws:\1:{REGION}:", value)
    return value


def _ours(client: Any, call: Call, request: Request) -> Outcome:
    operation = call["operation"]

    def send(_service: str, name: str, body: Request) -> Answer:
        return answer_of(client, name, body)

    try:
        if "wait" in call:
            return {"answers": as_json(states(send, operation, request, call["wait"], _WAIT_SECONDS))}
        return {"answers": as_json([answer_of(client, operation, request)])}
    except ClientError as error:
        return {"error": error_of(error)}
    except (BotoCoreError, TimeoutError) as error:  # it cannot be sent by this boto3, or it never comes to rest here
        return {"error": {"code": type(error).__name__, "message": str(error), "status": 0}}


def _free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_local/health", timeout=10):  # noqa: S310
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RecordingError(f"the local SageMaker did not start: {log.read_text()[-2000:]}") from None
        time.sleep(0.05)
