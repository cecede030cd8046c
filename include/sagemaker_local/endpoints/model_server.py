"""The running container of one variant: its process, its health, requests to it, and its end."""

from __future__ import annotations

import http.client
import logging
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

PING_SECONDS = 2
INVOCATION_SECONDS = 60
TERM_SECONDS = 30
RESTART_SECONDS = 1.0

Spawn = Callable[[], "subprocess.Popen[str]"]
LogLine = Callable[[str], None]


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


class ModelServer:
    """A container that is started, asked and stopped; when it dies while it serves it is started again, as on AWS.

    `spawn` starts the process (standard output piped, standard input a pipe that ends it); `log_line` gets what it prints.
    """

    def __init__(self, port: int, spawn: Spawn, log_line: LogLine) -> None:
        self._port = port
        self._spawn = spawn
        self._log_line = log_line
        self._stop = threading.Event()
        self._exited = threading.Event()
        self._idle = threading.Condition()
        self._in_flight = 0
        self._retired = False
        self._connections: list[http.client.HTTPConnection] = []
        self._process: subprocess.Popen[str] | None = None
        self._healthy = False
        self._keeper = threading.Thread(target=self._keep_running, name=f"model-server-{port}", daemon=True)

    def start(self) -> None:
        """Start the process; does not wait for it."""
        self._keeper.start()

    def wait_healthy(self, seconds: float, cancelled: threading.Event) -> bool:
        """Ping until the container answers 200; False when it has not after `seconds`, has exited, or we were cancelled."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not cancelled.is_set():
            if self._ping():
                self._healthy = True
                return True
            if self._exited.wait(0.03):
                return False
        return False

    def _ping(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PING_SECONDS)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _keep_running(self) -> None:
        while not self._stop.is_set():
            self._process = process = self._spawn()
            if self._stop.is_set():
                process.terminate()
            if process.stdout:
                for line in process.stdout:
                    self._log_line(line.rstrip("\n"))
            code = process.wait()
            if not self._stop.is_set():
                self._log_line(f"The container exited with exit code {code if code >= 0 else 128 - code}.")
            self._exited.set()
            if not self._healthy:
                return
            self._stop.wait(RESTART_SECONDS)

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

    def invoke(self, body: bytes, headers: dict[str, str]) -> Answer:
        """`POST /invocations` over a kept-alive connection. Raises NoAnswerError."""
        try:
            connection = self._connections.pop()
        except IndexError:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=INVOCATION_SECONDS)
        try:
            connection.request("POST", "/invocations", body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoAnswerError(timed_out=isinstance(error, TimeoutError)) from error
        self._connections.append(connection)
        return answer

    def stop(self) -> None:
        """Let requests in flight finish, then SIGTERM and, 30 s later, SIGKILL, as AWS does."""
        with self._idle:
            self._retired = True
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=INVOCATION_SECONDS)
        self._stop.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        self._keeper.join(TERM_SECONDS)
        if process is not None and process.poll() is None:
            process.kill()
            self._keeper.join()
        for connection in self._connections:
            connection.close()
