"""How this local SageMaker runs, and what every part of it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.sagemaker_local.state.store import Store


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


@dataclass(frozen=True)
class Context:
    """What every part of this server works with.

    `client(service)` is a boto3 client of this very server (s3, logs, iam, …); `isolation` says how a container gets
    an /opt/ml of its own on this machine, one of the modes of `containers/launcher.py`.
    """

    settings: Settings
    store: Store
    client: Callable[[str], Any]
    isolation: str

    def arn(self, resource: str, name: str) -> str:
        """`arn:aws:sagemaker:<region>:<account>:<resource>/<name>`."""
        return f"arn:aws:sagemaker:{self.settings.region}:{self.settings.account}:{resource}/{name}"
