"""One deployment of an endpoint: the model servers of all its variants, their weights and what is captured."""

from __future__ import annotations

import random
import shutil
import socket
import uuid
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from include.sagemaker_local.endpoints import launch
from include.sagemaker_local.endpoints.capture import CaptureConfig
from include.sagemaker_local.endpoints.model_data import DeploymentError, unpack_model
from include.sagemaker_local.endpoints.model_server import INVOCATION_SECONDS, ModelServer
from include.sagemaker_local.jobs.logs import LogStream
from include.sagemaker_local.service import Context

HEALTH_CHECK_SECONDS = 240
"""AWS's ContainerStartupHealthCheckTimeoutInSeconds when a variant has none."""


class Deployment:
    """The fleets of one endpoint config, one for each variant. Made by `bring_up`; replaced as a whole by an update."""

    def __init__(
        self, endpoint: str, config: str, servers: dict[str, ModelServer], capture: CaptureConfig | None
    ) -> None:
        self.endpoint = endpoint
        self.config = config
        self.servers = servers
        self.capture = capture
        self.weigh({})

    def weigh(self, weights: dict[str, float]) -> None:
        """Share requests in proportion to these weights; equally when there are none, or all are zero."""
        if sum(weights.values()) == 0:
            weights = dict.fromkeys(self.servers, 1.0)
        self._draw = list(weights), list(weights.values())

    def draw(self) -> tuple[str, ModelServer]:
        """A variant by weight."""
        names, weights = self._draw
        name = names[0] if len(names) == 1 else random.choices(names, weights)[0]  # noqa: S311 - traffic, not secrecy
        return name, self.servers[name]

    def stop(self, drain_seconds: float = INVOCATION_SECONDS) -> None:
        """End all containers after their requests in flight, for which they get this many seconds."""
        for server in self.servers.values():
            server.stop(drain_seconds)


class Builder:
    """Brings deployments up, each in `<state>/endpoints/<endpoint>/<deployment id>/<variant>/`."""

    def __init__(self, ctx: Context, cancelled: Event) -> None:
        self._ctx = ctx
        self._cancelled = cancelled

    def directory(self, endpoint: str) -> Path:
        """Where the endpoint's deployments are."""
        return self._ctx.settings.state / "endpoints" / endpoint

    def bring_up(self, endpoint: str, plan: dict[str, Any]) -> Deployment:
        """Start a container per variant of the plan and wait until all are healthy.

        Raises DeploymentError when one is not; then none is left, nor anything of them on disk.
        """
        servers: dict[str, ModelServer] = {}
        try:
            for variant in plan["ProductionVariants"]:
                name = variant["VariantName"]
                servers[name] = self._start(endpoint, plan["Containers"][name], plan["Id"], name)
            for variant in plan["ProductionVariants"]:
                self._wait_healthy(variant, servers[variant["VariantName"]])
        except BaseException:
            for server in servers.values():
                server.stop()
            if not self._cancelled.is_set():
                self.remove(endpoint, plan)
            raise
        return Deployment(endpoint, plan["EndpointConfigName"], servers, CaptureConfig.parse(plan["DataCaptureConfig"]))

    def remove(self, endpoint: str, plan: dict[str, Any]) -> None:
        """Delete the directory of a deployment that is no longer used."""
        shutil.rmtree(self.directory(endpoint) / plan["Id"], ignore_errors=True)

    def remove_unused(self) -> None:
        """Delete the directories of all deployments that no endpoint in the store refers to."""
        used = set()
        for body in self._ctx.store.list("endpoint"):
            plans = [body[key] for key in ("_Deployed", "_Pending") if key in body]
            used |= {(body["EndpointName"], plan["Id"]) for plan in plans}
        for directory in self.directory("").glob("*/*"):
            if (directory.parent.name, directory.name) not in used:
                shutil.rmtree(directory, ignore_errors=True)

    def _wait_healthy(self, variant: dict[str, Any], server: ModelServer) -> None:
        seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", HEALTH_CHECK_SECONDS)
        if not server.wait_healthy(seconds, self._cancelled):
            raise DeploymentError(
                f"The primary container for production variant {variant['VariantName']} did not pass the ping health "
                "check. Please check CloudWatch logs for this endpoint."
            )

    def _start(self, endpoint: str, container: dict[str, Any], deployment: str, variant: str) -> ModelServer:
        directory = self.directory(endpoint) / deployment / variant
        if not (directory / "ml" / "model").exists():  # after a restart it is there already
            self._prepare(directory, container["ModelDataUrl"])
        reserved = _reserve_port()
        environ = launch.environment(self._ctx, directory, container, reserved.getsockname()[1])
        stream = f"{variant}/i-{uuid.uuid4().hex[:17]}"
        logs = LogStream(self._ctx, f"/aws/sagemaker/Endpoints/{endpoint}", stream)
        server = ModelServer(reserved, partial(launch.start, self._ctx, directory, environ), logs)
        server.start()
        return server

    def _prepare(self, directory: Path, model_data: str | None) -> None:
        """Unpack first and rename then, so that a directory named `model` is always complete."""
        part = directory / "ml" / "model.part"
        shutil.rmtree(part, ignore_errors=True)
        unpack_model(self._ctx, model_data, part)
        launch.prepare(self._ctx, directory)
        part.rename(directory / "ml" / "model")


def _reserve_port() -> socket.socket:
    """A free loopback port. We hold it too (without listening) while the container lives, so that nobody gets it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
