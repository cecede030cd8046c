"""The running container of one variant: its start, its health, requests to it, and its end."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from include.sagemaker_local.containers.container import Container
from include.sagemaker_local.containers.logs import LogStream

PING_SECONDS = 2
PING_EVERY_SECONDS = 0.03
INVOCATION_SECONDS = 60
TERM_SECONDS = 30
KILL_SECONDS = 10
RESTART_SECONDS = 1.0

Launch = Callable[[Callable[[str], None], Callable[[], None]], Container]


class NoAnswerError(Exception):
    """The container did not answer: `timed_out` tells a slow one from one that is gone."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "connection lost")
        self.timed_out = timed_out


@dataclass(frozen=True)
class Answer:
    """What the container said."""

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

    `reserved` is a socket bound to the container's port, `launch` starts the process with callbacks for its lines and
    its end, `logs` takes what it prints. One that fails at its start gets `start_failure_seconds` from then on.
    """

    name = "primary"

    def __init__(self, reserved: socket.socket, launch: Launch, logs: LogStream, start_failure_seconds: float) -> None:
        self._reserved = reserved
        self._port: int = reserved.getsockname()[1]
        self._launch = launch
        self._logs = logs
        self._start_failure_seconds = start_failure_seconds
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
                failing, deadline = True, min(deadline, time.monotonic() + self._start_failure_seconds)
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
            self._container = container = self._launch(self._logs.write, ended.set)
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
        """`POST /invocations` over a kept-alive connection. Raises NoAnswerError."""
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
            raise NoAnswerError(timed_out=isinstance(error, TimeoutError)) from error
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
