"""A serverless variant: its container starts with the first request, ends when it is idle, and takes only so many."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from include.sagemaker_local.containers.model_server import (
    INVOCATION_SECONDS,
    KILL_SECONDS,
    Answer,
    ModelServer,
    NoResponseError,
)
from include.sagemaker_local.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import ProductionVariantServerlessConfigTypeDef as ServerlessConfig

MAX_BODY_BYTES = 4 * 1024 * 1024
LEAST_SECONDS = 0.001
SERVERLESS = "model"
"""What errors call the container of a serverless variant."""


class ServerlessServer:
    """Serves like a ModelServer. `make` gives a new container, not started; `config` is the variant's ServerlessConfig.

    A container that answered nothing for `idle_seconds` ends; with ProvisionedConcurrency it stays.
    """

    name = SERVERLESS

    def __init__(self, make: Callable[[], ModelServer], config: ServerlessConfig, idle_seconds: float) -> None:
        self._make = make
        self._most: int = config["MaxConcurrency"]
        self._stays_warm = bool(config.get("ProvisionedConcurrency"))
        self._idle_seconds = idle_seconds
        self._health_seconds = 0.0
        self._cancelled = threading.Event()
        self._starting = False
        self._changed = threading.Condition()
        self._server: ModelServer | None = None
        self._in_flight = 0
        self._used = 0.0
        self._retired = False

    def start(self) -> None:
        """Start a container, to see whether the model can be served at all; does not wait for it."""
        self._server = self._make()
        self._server.start()

    def wait_healthy(self, seconds: float, cancelled: threading.Event) -> bool:
        """Whether the container has become healthy; afterwards there is none, unless concurrency is provisioned."""
        self._health_seconds, server = seconds, self._server
        healthy = server is not None and server.wait_healthy(seconds, cancelled)
        if server is not None and healthy and not self._stays_warm:
            self._server = None
            server.stop(0)
        return healthy

    def acquire(self) -> bool:
        """As of a ModelServer. Raises ThrottlingException when there are as many requests as MaxConcurrency."""
        with self._changed:
            if self._retired:
                return False
            if self._in_flight >= self._most:
                raise AwsError("ThrottlingException", "Rate exceeded")
            self._in_flight += 1
            return True

    def release(self) -> None:
        """The announced request has ended."""
        with self._changed:
            self._in_flight -= 1
            self._used = time.monotonic()
            self._changed.notify_all()

    def invoke(self, body: bytes, headers: dict[str, str], seconds: float = INVOCATION_SECONDS) -> Answer:
        """Ask the container, started if there is none, which counts. Raises NoResponseError."""
        if len(body) > MAX_BODY_BYTES:
            raise AwsError("413", f"HTTP content length exceeded {MAX_BODY_BYTES} bytes.", status=413)
        deadline = time.monotonic() + seconds
        server = self._warm(seconds)
        return server.invoke(body, headers, max(deadline - time.monotonic(), LEAST_SECONDS))

    def _warm(self, seconds: float) -> ModelServer:
        """The running container; the first of several requests starts it and all wait for it, for so long.

        The start goes on without them: the next request finds the container up.
        """
        with self._changed:
            if self._server is None and not self._starting:
                self._starting = True
                threading.Thread(target=self._start_cold, name="serverless-start", daemon=True).start()
            self._changed.wait_for(lambda: not self._starting, timeout=seconds)
            if self._server is None:
                raise NoResponseError(timed_out=self._starting)
            return self._server

    def _start_cold(self) -> None:
        server = self._make()
        server.start()
        healthy = server.wait_healthy(self._health_seconds, self._cancelled)
        with self._changed:
            serves = healthy and not self._retired
            self._starting = False
            if serves:
                self._server, self._used = server, time.monotonic()
            self._changed.notify_all()
        if serves:
            self._end_when_idle()
        else:
            server.stop(0)

    def _end_when_idle(self) -> None:
        """No request can need the container while none is in flight: each announces itself first."""
        with self._changed:
            while not self._retired:
                left = self._used + self._idle_seconds - time.monotonic()
                if self._in_flight == 0 and left <= 0:
                    break
                self._changed.wait(None if self._in_flight else left)
            server, self._server = self._server, None
        if server is not None:
            server.stop(0)

    def stop(self, drain_seconds: float = INVOCATION_SECONDS) -> None:
        """Let requests in flight finish, then end the container if there is one."""
        with self._changed:
            self._retired = True
            self._changed.wait_for(lambda: self._in_flight == 0, timeout=drain_seconds)
            self._cancelled.set()
            self._changed.wait_for(lambda: not self._starting, timeout=KILL_SECONDS)
            server, self._server = self._server, None
            self._changed.notify_all()
        if server is not None:
            server.stop(0)
