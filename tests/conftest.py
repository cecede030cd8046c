"""Fixtures for all tests: a local SageMaker as a process of its own, as users run it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

REPOSITORY = Path(__file__).parent.parent
JOBS_PYTHON = Path(os.environ.get("JOBS_PYTHON", REPOSITORY / ".venv-jobs/bin/python"))
START_SECONDS = 60


class LocalSageMaker:
    """A running `python -m include.sagemaker_local`: its address, its state directory, and boto3 clients of it."""

    role_arn = "arn:aws:iam::123456789012:role/sagemaker-retraining-local"
    bucket = "test-bucket"
    program: tuple[str, ...] = ("-m", "include.sagemaker_local")
    options: tuple[str, ...] = ("--stop-grace-seconds", "1", "--start-failure-seconds", "0.5")

    def __init__(self, state: Path, port: int | None = None) -> None:
        self.state = state
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = state.with_name(f"{state.name}.log")
        self._session_lock = threading.Lock()
        self._session: Any = boto3.Session("test", "test", region_name="us-east-1")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> LocalSageMaker:
        """Start the process and wait until it is healthy; the bucket exists afterwards."""
        command = [sys.executable, *self.program, "--port", str(self.port)]
        command += ["--state", str(self.state), "--python", str(JOBS_PYTHON)]
        command += self.options
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        self._wait_for_health()
        self.client("s3").create_bucket(Bucket=self.bucket)
        return self

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=60)

    def restart(self) -> LocalSageMaker:
        """Stop, and start again with the same state on the same port."""
        self.stop()
        return self.start()

    def client(self, service: str) -> Any:
        """A new boto3 client."""
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=40)
        with self._session_lock:
            return self._session.client(service, endpoint_url=self.url, config=config)

    def environment(self) -> dict[str, str]:
        """The environment in which the AWS CLI and SDKs reach this server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
        }

    def health(self) -> dict[str, Any]:
        """What `/_local/health` answers."""
        with urllib.request.urlopen(f"{self.url}/_local/health", timeout=10) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        return answer

    def _wait_for_health(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.health()
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.url} did not start: {self.log.read_text()}") from error
            time.sleep(0.05)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def sagemaker_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    """One local SageMaker for the whole test session: choose names that no other test uses."""
    server = LocalSageMaker(tmp_path_factory.mktemp("sagemaker") / "state").start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def make_sagemaker_local(tmp_path: Path) -> Iterator[Callable[..., LocalSageMaker]]:
    """Makes servers of a test's own, not started: `make_sagemaker_local("name").start()`. What still runs is killed."""
    servers: list[LocalSageMaker] = []

    def make(name: str = "state", port: int | None = None) -> LocalSageMaker:
        servers.append(LocalSageMaker(tmp_path / name, port))
        return servers[-1]

    yield make
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.kill()


@pytest.fixture
def aws_connection(sagemaker_local: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws_default` points at the local SageMaker, as a user's connection does."""
    extra = {"region_name": "us-east-1", "endpoint_url": sagemaker_local.url}
    value = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(value))
