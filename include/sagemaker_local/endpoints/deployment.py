"""One deployment of an endpoint: the model servers of all its variants, their weights and what is captured."""

from __future__ import annotations

import random
import shutil
import uuid
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from include.sagemaker_local.containers.logs import LogStream
from include.sagemaker_local.containers.model_data import DeploymentError, unpack_model
from include.sagemaker_local.containers.model_server import INVOCATION_SECONDS, ModelServer, Serving, prepare_container
from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints.capture import CaptureConfig
from include.sagemaker_local.endpoints.plan import Plan, planned_variants
from include.sagemaker_local.endpoints.serverless import SERVERLESS, ServerlessServer
from include.sagemaker_local.endpoints.shadow import Shadow
from include.sagemaker_local.endpoints.texts import SERVERLESS_EXITED, log_group, received

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import AsyncInferenceConfigOutputTypeDef as AsyncConfig
    from mypy_boto3_sagemaker.type_defs import ProductionVariantOutputTypeDef as Variant

HEALTH_CHECK_SECONDS = 240
"""AWS's ContainerStartupHealthCheckTimeoutInSeconds when a variant has none."""


class Deployment:
    """The fleets of one endpoint config, one for each variant. Made by `bring_up`; replaced as a whole by an update."""

    def __init__(
        self,
        endpoint: str,
        config: str,
        servers: dict[str, Serving],
        capture: CaptureConfig | None,
        *,
        shadow: Shadow | None,
        asynchronous: AsyncConfig | None,
    ) -> None:
        self.endpoint = endpoint
        self.config = config
        self.servers = servers
        self.capture = capture
        self.shadow = shadow
        self.asynchronous = asynchronous
        self.weigh({})

    def weigh(self, weights: dict[str, float]) -> None:
        """Share requests in proportion to these weights; equally when there are none, or all are zero."""
        if self.shadow is not None:
            self.shadow.weigh(weights)
        weights = {name: weight for name, weight in weights.items() if name in self.servers}
        if sum(weights.values()) == 0:
            weights = dict.fromkeys(self.servers, 1.0)
        self._draw = list(weights), list(weights.values())

    def draw(self) -> tuple[str, Serving]:
        """A variant by weight."""
        names, weights = self._draw
        name = names[0] if len(names) == 1 else random.choices(names, weights)[0]  # noqa: S311 - traffic, not secrecy
        return name, self.servers[name]

    def stop(self, drain_seconds: float = INVOCATION_SECONDS) -> None:
        """End all containers after their requests in flight, for which they get this many seconds."""
        for server in self.servers.values():
            server.stop(drain_seconds)
        if self.shadow is not None:
            self.shadow.stop(drain_seconds)


class Builder:
    """Brings deployments up, each in `<state>/endpoints/<endpoint>/<deployment id>/<variant>/`."""

    def __init__(self, ctx: Context, cancelled: Event) -> None:
        self._ctx = ctx
        self._cancelled = cancelled

    def directory(self, endpoint: str) -> Path:
        """Where the endpoint's deployments are."""
        return self._ctx.settings.state / "endpoints" / endpoint

    def bring_up(self, endpoint: str, plan: Plan) -> Deployment:
        """Start a container per variant of the plan and wait until all are healthy.

        Raises DeploymentError when one is not; then none is left, nor anything of them on disk.
        """
        servers: dict[str, Serving] = {}
        try:
            for variant in planned_variants(plan):
                name = variant["VariantName"]
                servers[name] = self._start(endpoint, plan, variant)
            for variant in planned_variants(plan):
                self._wait_healthy(endpoint, variant, servers[variant["VariantName"]])
        except BaseException:
            for server in servers.values():
                server.stop()
            if not self._cancelled.is_set():
                self.remove(endpoint, plan)
            raise
        names = [variant["VariantName"] for variant in plan.get("ShadowProductionVariants", ())]
        shadow = Shadow(names[0], servers.pop(names[0])) if names else None
        return Deployment(
            endpoint,
            plan["EndpointConfigName"],
            servers,
            CaptureConfig.parse(plan["DataCaptureConfig"]),
            shadow=shadow,
            asynchronous=plan.get("AsyncInferenceConfig"),
        )

    def remove(self, endpoint: str, plan: Plan) -> None:
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

    def _wait_healthy(self, endpoint: str, variant: Variant, server: Serving) -> None:
        seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", HEALTH_CHECK_SECONDS)
        if server.wait_healthy(seconds, self._cancelled):
            return
        if server.name == SERVERLESS:
            reason = received(self._ctx.settings, endpoint, SERVERLESS, 0, SERVERLESS_EXITED)
        else:
            reason = (
                f"The primary container for production variant {variant['VariantName']} did not pass the ping health "
                "check. Please check CloudWatch logs for this endpoint."
            )
        raise DeploymentError(reason)

    def _start(self, endpoint: str, plan: Plan, variant: Variant) -> Serving:
        name = variant["VariantName"]
        container, serverless = plan["Containers"][name], variant.get("ServerlessConfig")
        directory = self.directory(endpoint) / plan["Id"] / name
        if not (directory / "ml" / "model").exists():  # after a restart it is there already
            self._prepare(directory, container["ModelDataUrl"])

        def make() -> ModelServer:
            host = uuid.uuid4().hex
            stream = f"{host[:12]}-{uuid.uuid4().hex}" if serverless else f"{name}/i-{host[:17]}"
            logs = LogStream(self._ctx, log_group(endpoint), stream)
            return ModelServer(self._ctx, directory, container, logs)

        idle_seconds = self._ctx.settings.serverless_idle_seconds
        server: Serving = ServerlessServer(make, serverless, idle_seconds) if serverless else make()
        server.start()
        return server

    def _prepare(self, directory: Path, model_data: str | None) -> None:
        """Unpack first and rename then, so that a directory named `model` is always complete."""
        part = directory / "ml" / "model.part"
        shutil.rmtree(part, ignore_errors=True)
        unpack_model(self._ctx, model_data, part)
        prepare_container(self._ctx, directory)
        part.rename(directory / "ml" / "model")
