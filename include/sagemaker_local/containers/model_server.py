"""A model behind HTTP: its container's environment and start, its health, requests to it, and its end."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.containers.container import Container, aws_environment
from include.sagemaker_local.containers.logs import LogStream
from include.sagemaker_local.context import Context, Settings

PING_SECONDS = 2
PING_EVERY_SECONDS = 0.03
INVOCATION_SECONDS = 60
TERM_SECONDS = 30
KILL_SECONDS = 10
RESTART_SECONDS = 1.0

SERVE = Path(__file__).with_name("programs") / "serve.py"
SKLEARN, XGBOOST = "sagemaker_sklearn_container.serving:main", "sagemaker_xgboost_container.serving:main"
"""What AWS's images set themselves: whose functions stand in for those that a script does not have."""


class ServingContainer(TypedDict):
    """What a model says of its one container, as plans of endpoints and transform jobs hold it."""

    Image: str
    ModelDataUrl: str | None
    Environment: dict[str, str]
    Isolated: NotRequired[bool]
    """Network isolation; plans of older versions do not say it."""


class NoResponseError(Exception):
    """The container did not answer: `timed_out` tells a slow one from one that is gone."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "connection lost")
        self.timed_out = timed_out


@dataclass(frozen=True)
class Answer:
    """The container's HTTP response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Serving(Protocol):
    """What an endpoint asks: a ModelServer, or what starts one when it is needed."""

    name: str
    """What errors call the container."""

    def start(self) -> None: ...
    def wait_healthy(self, seconds: float, cancelled: threading.Event) -> bool: ...
    def acquire(self) -> bool: ...
    def release(self) -> None: ...
    def invoke(self, body: bytes, headers: dict[str, str], seconds: float = INVOCATION_SECONDS) -> Answer: ...
    def stop(self, drain_seconds: float = INVOCATION_SECONDS) -> None: ...


class ModelServer:
    """A container that is started, asked and stopped; when it dies it is started again, as on AWS.

    `definition` is the model's container, `directory` was made by `prepare_container`; `logs` takes what it
    prints. One that fails at its start gets `start_failure_seconds` of the settings from then on.
    """

    name = "primary"

    def __init__(self, ctx: Context, directory: Path, definition: ServingContainer, logs: LogStream) -> None:
        self._reserved = _reserve_port()
        self._port: int = self._reserved.getsockname()[1]
        self._ctx, self._directory, self._logs = ctx, directory, logs
        self._environment = _environment(ctx.settings, directory, definition, self._port)
        self._container: Container | None = None
        self._healthy = False
        self._ended = threading.Event()
        self._stop = threading.Event()
        self._idle = threading.Condition()
        self._in_flight = 0
        self._retired = False
        self._connections: list[http.client.HTTPConnection] = []
        self._keeper = threading.Thread(target=self._keep_running, name=f"model-server-{self._port}", daemon=True)

    def start(self) -> None:
        """Start the container; does not wait for it."""
        self._keeper.start()

    def wait_healthy(self, seconds: float, cancelled: threading.Event) -> bool:
        """Ping until the container answers 200; False when it has not in time or fails for too long, or `cancelled`.

        One that has ended, or answers something else, may do better when it is started or asked again.
        """
        deadline, failing = time.monotonic() + seconds, False
        while time.monotonic() < deadline and not cancelled.is_set():
            answer = self.get("/ping")
            if answer is not None and answer.status == 200:
                self._healthy = True
                return True
            if not failing and (answer is not None or self._ended.is_set()):
                failing, deadline = True, min(deadline, time.monotonic() + self._ctx.settings.start_failure_seconds)
            pause = min(RESTART_SECONDS, max(0.0, deadline - time.monotonic())) if failing else PING_EVERY_SECONDS
            cancelled.wait(pause)
        return False

    def get(self, path: str) -> Answer | None:
        """`GET` on a connection of its own; None without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PING_SECONDS)
        try:
            connection.request("GET", path)
            return _read_answer(connection)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _keep_running(self) -> None:
        """Run the container, and again whenever it dies, until we are stopped."""
        while not self._stop.is_set():
            self._run_once()
            self._ended.set()
            self._stop.wait(RESTART_SECONDS)

    def _run_once(self) -> None:
        ended = threading.Event()
        try:
            self._container = container = Container(
                self._ctx.isolation,
                self._directory,
                [str(self._ctx.settings.python), "-P", str(SERVE)],
                self._environment,
                on_line=self._logs.write,
                on_exit=ended.set,
            )
        except OSError as error:
            self._logs.write(f"The container could not be started: {error}")
            return
        if self._stop.is_set():
            container.kill()
        ended.wait()
        self._connections.clear()
        if not self._stop.is_set():
            self._logs.write(f"The container exited with exit code {container.exit_code}.")

    def acquire(self) -> bool:
        """Announce a request; False when this server is being retired (the caller then takes its successor)."""
        with self._idle:
            if self._retired:
                return False
            self._in_flight += 1
            return True

    def release(self) -> None:
        """The announced request has ended."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def invoke(self, body: bytes, headers: dict[str, str], seconds: float = INVOCATION_SECONDS) -> Answer:
        """`POST /invocations` over a kept-alive connection. Raises NoResponseError."""
        try:
            connection = self._connections.pop()
        except IndexError:
            connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        try:
            connection.request("POST", "/invocations", body, headers)
            answer = _read_answer(connection)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoResponseError(timed_out=isinstance(error, TimeoutError)) from error
        self._connections.append(connection)
        return answer

    def stop(self, drain_seconds: float = INVOCATION_SECONDS) -> None:
        """Let requests in flight finish, then SIGTERM and, 30 s later, SIGKILL, as AWS does.

        A container that never served is killed at once. Afterwards all it printed is in CloudWatch.
        """
        with self._idle:
            self._retired = True
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=drain_seconds)
        self._stop.set()
        container = self._container
        if container is not None and self._healthy:
            container.terminate()
            self._keeper.join(TERM_SECONDS)
        if container is not None and self._keeper.is_alive():
            container.kill()
        self._keeper.join(KILL_SECONDS)
        self._reserved.close()
        self._logs.close()
        for connection in self._connections:
            connection.close()


def _read_answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def prepare_container(ctx: Context, directory: Path) -> None:
    """Make a new container's directory; its `ml` becomes /opt/ml."""
    isolation.prepare(directory)
    isolation.localise_files(ctx.isolation, directory, directory / "ml")


def _reserve_port() -> socket.socket:
    """A free loopback port. We hold it too (without listening) while the container lives, so that nobody gets it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def _environment(settings: Settings, directory: Path, definition: ServingContainer, port: int) -> dict[str, str]:
    """What a serving container finds in its environment.

    One OpenMP thread, as in AWS's own containers: for single rows, more threads cost more than they bring.
    """
    return {
        "PATH": f"{settings.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(directory / "work"),
        "TMPDIR": str(directory / "tmp"),
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_BASE_DIR": isolation.ML,
        "SAGEMAKER_SERVING_MODULE": SKLEARN if "scikit-learn" in definition["Image"] else XGBOOST,
        **aws_environment(settings, isolated=definition.get("Isolated", False)),
        **definition["Environment"],
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
