"""What an operation is, and what it gets: the table of implemented operations and the context they run in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from include.sagemaker_local.state.spot import SpotMarket
from include.sagemaker_local.state.store import Store

Request = dict[str, Any]
Response = dict[str, Any]
HttpResponse = tuple[int, list[tuple[str, str]], bytes]


class Jobs(Protocol):
    """The executor of processing, training and transform jobs (include/sagemaker_local/jobs)."""

    isolation: str
    spot: SpotMarket

    def start_processing(self, name: str) -> None: ...
    def start_training(self, name: str) -> None: ...
    def start_transform(self, name: str) -> None: ...
    def stop(self, kind: str, name: str) -> None: ...
    def shutdown(self) -> None: ...


class Endpoints(Protocol):
    """The executor of endpoints (include/sagemaker_local/endpoints)."""

    def create(self, name: str) -> None: ...
    def update(self, name: str) -> None: ...
    def reweigh(self, name: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def invoke(self, environ: dict[str, Any], name: str, body: bytes) -> HttpResponse: ...
    def invoke_async(self, environ: dict[str, Any], name: str, body: bytes) -> HttpResponse: ...
    def shutdown(self) -> None: ...


@dataclass(frozen=True)
class Settings:
    """How this local SageMaker runs. `python` is the interpreter of the job environment (the "container image").

    `stop_grace_seconds` is the time a job has between SIGTERM and SIGKILL when it is stopped; AWS gives 120.
    `allow_hosts` are names under which it answers beside localhost and every address.
    `serverless_idle_seconds` is how long a serverless variant keeps a container that is not asked; AWS does not say.
    `invocation_seconds` is how long InvokeEndpoint waits for a container, its cold start included; AWS gives 60.
    `start_failure_seconds` is how long a container that ends at its start, or answers /ping with an error, is started
    and asked again; on AWS people saw 24 to 60 minutes.
    """

    host: str
    port: int
    state: Path
    python: Path
    account: str = "123456789012"
    region: str = "us-east-1"
    stop_grace_seconds: float = 120
    serverless_idle_seconds: float = 300
    invocation_seconds: float = 60
    start_failure_seconds: float = 20
    allow_hosts: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The one address of every AWS service."""
        return f"http://{self.host}:{self.port}"


@dataclass
class Context:
    """Everything an operation may touch. `client(service)` is a boto3 client of this very server (s3, logs, iam, …)."""

    settings: Settings
    store: Store
    client: Callable[[str], Any]
    jobs: Jobs = field(init=False)
    endpoints: Endpoints = field(init=False)

    def arn(self, resource: str, name: str) -> str:
        """`arn:aws:sagemaker:<region>:<account>:<resource>/<name>`."""
        return f"arn:aws:sagemaker:{self.settings.region}:{self.settings.account}:{resource}/{name}"


Operation = Callable[[Context, Request], Response]
OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register the function that answers this operation of the SageMaker API (`CreateTrainingJob`, …).

    It gets the validated request and returns the response: members unknown to the output shape are dropped by
    the server, times are epoch seconds as float. It raises AwsError for what AWS refuses.
    """

    def register(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return register
