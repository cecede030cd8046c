"""One deployment of an endpoint: the model servers of all its variants, their weights and what is captured."""

from __future__ import annotations

import random
import shutil
import socket
import sys
import uuid
from concurrent.futures import Executor
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from threading import Event
from typing import Any

from include.sagemaker_local.endpoints.capture import CaptureConfig
from include.sagemaker_local.endpoints.logs import LogStream
from include.sagemaker_local.endpoints.model_data import DeploymentError, unpack_model
from include.sagemaker_local.endpoints.model_server import ModelServer
from include.sagemaker_local.service import Context

HEALTH_CHECK_SECONDS = 240
SERVE = Path(__file__).parent.parent / "container" / "serve.py"


class Deployment:
    """What an endpoint's requests go to. Made by `bring_up`; replaced as a whole by an update."""

    def __init__(self, endpoint: str, servers: dict[str, ModelServer], capture: CaptureConfig | None) -> None:
        self.endpoint = endpoint
        self.servers = servers
        self.capture = capture
        self._draw: tuple[list[str], list[float]] = (list(servers), [1.0] * len(servers))

    def weigh(self, weights: dict[str, float]) -> None:
        """Share requests in proportion to these weights; equally when all are zero."""
        if sum(weights.values()) > 0:
            self._draw = list(weights), list(weights.values())

    def draw(self) -> tuple[str, ModelServer]:
        """A variant by weight."""
        names, weights = self._draw
        name = names[0] if len(names) == 1 else random.choices(names, weights)[0]  # noqa: S311 - traffic, not secrecy
        return name, self.servers[name]

    def stop(self) -> None:
        """End all containers after their requests in flight."""
        for server in self.servers.values():
            server.stop()


class Builder:
    """Brings deployments up. `spawner` runs process starts in one long-lived thread: a process whose parent-death
    signal is set dies with the thread that started it."""

    def __init__(self, ctx: Context, spawner: Executor, cancelled: Event) -> None:
        self._ctx = ctx
        self._spawner = spawner
        self._cancelled = cancelled

    def directory(self, endpoint: str) -> Path:
        """Where the endpoint's model archives are unpacked."""
        return self._ctx.settings.state / "endpoints" / endpoint

    def bring_up(self, endpoint: str, plan: dict[str, Any]) -> Deployment:
        """Start a server per variant of the plan and wait until all are healthy. Raises DeploymentError, leaving nothing."""
        servers: dict[str, ModelServer] = {}
        try:
            for variant in plan["ProductionVariants"]:
                servers[variant["VariantName"]] = self._start(endpoint, plan, variant)
            for variant in plan["ProductionVariants"]:
                seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", HEALTH_CHECK_SECONDS)
                if not servers[variant["VariantName"]].wait_healthy(seconds, self._cancelled):
                    raise DeploymentError(
                        f"The primary container for production variant {variant['VariantName']} did not pass the ping "
                        "health check. Please check CloudWatch logs for this endpoint."
                    )
        except BaseException:
            for server in servers.values():
                server.stop()
            if not self._cancelled.is_set():
                self.remove(endpoint, plan)
            raise
        return Deployment(endpoint, servers, CaptureConfig.parse(plan.get("DataCaptureConfig")))

    def remove(self, endpoint: str, plan: dict[str, Any]) -> None:
        """Delete the unpacked models of a deployment that is no longer used."""
        shutil.rmtree(self.directory(endpoint) / plan["Id"], ignore_errors=True)

    def _start(self, endpoint: str, plan: dict[str, Any], variant: dict[str, Any]) -> ModelServer:
        name = variant["VariantName"]
        container = plan["Containers"][name]
        ml = self.directory(endpoint) / plan["Id"] / name / "ml"
        if not (ml / "model").exists():  # after a restart it is there already
            self._unpack(container["ModelDataUrl"], ml)
        reserved = _reserve_port()
        port: int = reserved.getsockname()[1]
        environment = self._environment(container, ml, port)
        stream = LogStream(self._ctx, f"/aws/sagemaker/Endpoints/{endpoint}", f"{name}/i-{uuid.uuid4().hex[:17]}")
        server = ModelServer(port, lambda: self._spawn(ml, environment), stream.write)
        server.start()
        return server

    def _unpack(self, url: str | None, ml: Path) -> None:
        part = ml / "model.part"
        shutil.rmtree(part, ignore_errors=True)
        unpack_model(self._ctx, url, part)
        part.rename(ml / "model")

    def _environment(self, container: dict[str, Any], ml: Path, port: int) -> dict[str, str]:
        return {}

    def _spawn(self, ml: Path, environment: dict[str, str]) -> Popen[str]:
        def start() -> Popen[str]:
            return Popen(
                [str(self._ctx.settings.python), "-P", str(SERVE)], env=environment, stdin=PIPE, stdout=PIPE,
                stderr=STDOUT, text=True, errors="replace", cwd=ml,
            )

        return self._spawner.submit(start).result()


def _reserve_port() -> socket.socket:
    """A free loopback port, held (not listened on) until the server stops, so that nobody else gets it meanwhile."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
