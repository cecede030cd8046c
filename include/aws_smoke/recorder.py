"""Calls AWS, and writes every request and answer to a recording (see recording.py)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from include.aws_smoke.recording import About, Answer, Call, CallError, Outcome, Request
from include.aws_smoke.redact import Redactor

BUSY = frozenset(
    {"Pending", "InProgress", "Stopping", "Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
)
_FIRST_SECONDS, _GROWTH, _LONGEST_SECONDS = 0.2, 1.4, 15.0
Client = Callable[[str], Any]
"""Makes a boto3 client of a service."""


class Recorder:
    """Writes to `file`, which must not exist yet."""

    def __init__(self, file: Path, clients: Client, redact: Redactor, about: About) -> None:
        self.file, self._make, self._redact = file, clients, redact
        self._clients: dict[str, Any] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as lines:
            lines.write(json.dumps(about) + "\n")

    def client(self, service: str) -> Any:
        """The boto3 client, made once."""
        if service not in self._clients:
            self._clients[service] = self._make(service)
        return self._clients[service]

    def call(self, name: str, service: str, operation: str, request: Request) -> Answer:
        """Send one request and return its answer. Raises what boto3 raises, recorded before."""
        call: Call = {"name": name, "service": service, "operation": operation, "request": self._plain(request)}
        return self._recorded(call, lambda: [self.send(service, operation, request)])

    def refused(self, name: str, service: str, operation: str, request: Request) -> str | None:
        """Send a request that should be refused; returns the error's code, None when it was accepted."""
        try:
            self.call(name, service, operation, request)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def wait(self, name: str, operation: str, request: Request, status: str, seconds: float = 3600) -> Answer:
        """Describe until `status` is none of BUSY; raises TimeoutError after `seconds`. One line holds all states."""
        call: Call = {
            "name": name,
            "service": "sagemaker",
            "operation": operation,
            "request": self._plain(request),
            "wait": status,
        }
        return self._recorded(call, lambda: states(self.send, operation, request, status, seconds))

    def send(self, service: str, operation: str, request: Request) -> Answer:
        """One request, not recorded; streams are read."""
        return answer_of(self.client(service), operation, request)

    def _recorded(self, call: Call, send: Callable[[], list[Answer]]) -> Answer:
        try:
            answers = send()
        except ClientError as error:
            self._write(call, {"error": self._redact(error_of(error))})
            raise
        self._write(call, {"answers": self._plain(answers)})
        return answers[-1]

    def _plain(self, value: Any) -> Any:
        return self._redact(as_json(value))

    def _write(self, call: Call, outcome: Outcome) -> None:
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({**call, **outcome}) + "\n")


def states(
    send: Callable[[str, str, Request], Answer], operation: str, request: Request, status: str, seconds: float
) -> list[Answer]:
    """The answers of a Describe operation until it has come to rest: the first of each state."""
    deadline, pause = time.monotonic() + seconds, _FIRST_SECONDS
    answers: list[Answer] = []
    while True:
        answer = send("sagemaker", operation, request)
        if not answers or _state(answer, status) != _state(answers[-1], status):
            answers.append(answer)
        if answer[status] not in BUSY:
            answers[-1] = answer
            return answers
        if time.monotonic() > deadline:
            raise TimeoutError(f"{operation} {dict(request)}: still {answer[status]} after {seconds:g} s")
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_SECONDS)


def answer_of(client: Any, operation: str, request: Request) -> Answer:
    """One request of a boto3 client; streams are read."""
    answer = client._make_api_call(operation, dict(request))
    return {key: _readable(value) for key, value in answer.items() if key != "ResponseMetadata"}


def error_of(error: ClientError) -> CallError:
    """What is recorded of boto3's exception."""
    details = error.response["Error"]
    return {
        "code": details.get("Code", ""),
        "message": details.get("Message", ""),
        "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
    }


def _state(answer: Answer, status: str) -> tuple[Any, Any]:
    return answer[status], answer.get("SecondaryStatus")


def _readable(value: Any) -> Any:
    return value.read().decode(errors="replace") if isinstance(value, StreamingBody) else value


def as_json(value: Any) -> Any:
    """A copy of a request or answer that JSON can hold."""
    return json.loads(json.dumps(value, default=_plain_value))


def _plain_value(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return {"utf-8": value.decode()}
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} in a request or answer")
