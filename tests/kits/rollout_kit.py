"""Updates of endpoints that shift traffic step by step: their DeploymentConfigs, and how far they are."""

from __future__ import annotations

from typing import Any

from tests.kits.endpoint_kit import Kit, wait_for

FOREVER = 3600
"""Seconds of a bake that only an alarm ends."""


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def count(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def blue_green(kind: str, wait: int = 60, **more: Any) -> dict[str, Any]:
    sizes = {name: more.pop(name) for name in ("CanarySize", "LinearStepSize") if name in more}
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **more}}


def rolling(size: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": 60, **more}}


def canary(share: int = 50, wait: int = FOREVER, **more: Any) -> dict[str, Any]:
    return blue_green("CANARY", wait, CanarySize=percent(share), **more)


def start(kit: Kit, name: str, config: str, deployment: dict[str, Any]) -> None:
    kit.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)


def baking(kit: Kit, name: str) -> dict[str, Any]:
    """The pending variant once the new fleet takes requests and is watched."""

    def probe() -> dict[str, Any] | None:
        pending = kit.sagemaker.describe_endpoint(EndpointName=name).get("PendingDeploymentSummary")
        assert pending, "the update has ended"
        variant: dict[str, Any] = pending["ProductionVariants"][0]
        return variant if variant["VariantStatus"][0]["Status"] == "Baking" else None

    found: dict[str, Any] = wait_for(probe, f"the canary of {name}", 120)
    return found
