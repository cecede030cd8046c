"""Deployment guardrails: what a DeploymentConfig may say, and the steps in which it moves requests to a new fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws
    from mypy_boto3_sagemaker.type_defs import DeploymentConfigOutputTypeDef as DeploymentConfig
    from mypy_boto3_sagemaker.type_defs import ProductionVariantOutputTypeDef as Variant

BLUE_GREEN: Final = "BlueGreenUpdatePolicy"
ROLLING: Final = "RollingUpdatePolicy"
TRAFFIC: Final = "TrafficRoutingConfiguration"
WAIT: Final = "WaitIntervalInSeconds"
TERMINATION_WAIT: Final = "TerminationWaitInSeconds"
TIMEOUT: Final = "MaximumExecutionTimeoutInSeconds"
EPSILON = 1e-9


@dataclass(frozen=True)
class Step:
    """From here on this share of the requests goes to the new fleet, which is then watched for some seconds."""

    share: float
    capacity: str
    bake_seconds: int
    bake_member: str


@dataclass(frozen=True)
class UpdatePolicy:
    """How an update is carried out."""

    steps: list[Step]
    rollback_shares: list[float]
    timeout_seconds: float
    alarms: list[str]


def update_policy(config: DeploymentConfig | None, variants: list[Variant]) -> UpdatePolicy:
    """The policy of a DeploymentConfig that `check` has passed; without one all requests move at once."""
    config = config or {}
    rolling, blue_green = config.get(ROLLING), config.get(BLUE_GREEN)
    steps = _rolling_steps(rolling, variants) if rolling else _blue_green_steps(blue_green, variants)
    back = _size_share(rolling.get("RollbackMaximumBatchSize") if rolling else None, variants)
    update = rolling or blue_green
    return UpdatePolicy(
        steps=steps,
        rollback_shares=[1 - share for share in _shares(back)],
        timeout_seconds=update.get(TIMEOUT, math.inf) if update else math.inf,
        alarms=alarm_names(config),
    )


def alarm_names(config: DeploymentConfig | None) -> list[str]:
    """The alarms of the AutoRollbackConfiguration."""
    alarms = (config or {}).get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm]


def _blue_green_steps(update: aws.BlueGreenUpdatePolicyTypeDef | None, variants: list[Variant]) -> list[Step]:
    if update is None:
        return [Step(1.0, "full", 0, TERMINATION_WAIT)]
    routing = update[TRAFFIC]
    wait, last = routing.get(WAIT, 0), Step(1.0, "full", update.get(TERMINATION_WAIT, 0), TERMINATION_WAIT)
    match routing["Type"]:
        case "CANARY":
            return [Step(_size_share(routing["CanarySize"], variants), "canary", wait, WAIT), last]
        case "LINEAR":
            shares = _shares(_size_share(routing["LinearStepSize"], variants))
            return [*(Step(share, "partial", wait, WAIT) for share in shares[:-1]), last]
    return [last]


def _rolling_steps(update: aws.RollingUpdatePolicyTypeDef, variants: list[Variant]) -> list[Step]:
    shares = _shares(_size_share(update["MaximumBatchSize"], variants))
    return [Step(share, "full" if share == 1 else "partial", update[WAIT], WAIT) for share in shares]


def _shares(size: float) -> list[float]:
    """`size`, twice that, … and at last exactly 1."""
    whole = math.ceil(1 / size - EPSILON)
    return [*(size * number for number in range(1, whole)), 1.0]


def _size_share(size: aws.CapacitySizeTypeDef | None, variants: list[Variant]) -> float:
    """A CapacitySize as a share of the fleet; of the smallest variant when it is a number of instances."""
    if size is None:
        return 1.0
    if size["Type"] == "CAPACITY_PERCENT":
        return float(size["Value"] / 100)
    return float(size["Value"] / min(instances(variant) for variant in variants))


def instances(variant: Variant) -> int:
    """How many instances a variant is deployed with."""
    return int(variant.get("InitialInstanceCount") or 1)


def active_instances(share: float, total: int) -> int:
    """How many of a fleet's instances take this share of the requests."""
    return math.ceil(share * total - EPSILON)


def check(config: DeploymentConfig | None, variants: list[Variant]) -> None:
    """Raise ValidationException for a DeploymentConfig that breaks a rule the service model does not know."""
    if not config:
        return
    if BLUE_GREEN in config and ROLLING in config:
        raise validation_error(
            f"Only one update policy should be used in the deployment configuration: {BLUE_GREEN} or {ROLLING}."
        )
    if BLUE_GREEN in config:
        _check_routing(config[BLUE_GREEN][TRAFFIC], variants)
    if ROLLING in config:
        _check_rolling(config[ROLLING], variants)
    _check_timeout(config, variants)


SIZES = {"CANARY": ("CanarySize", 0, 50), "LINEAR": ("LinearStepSize", 10, 50)}
"""Which CapacitySize a type of traffic routing needs, and its percentages at least and at most."""


def _check_routing(routing: aws.TrafficRoutingConfigTypeDef, variants: list[Variant]) -> None:
    kind = routing["Type"]
    needed = SIZES[kind][0] if kind in SIZES else None
    sizes = {"CanarySize": routing.get("CanarySize"), "LinearStepSize": routing.get("LinearStepSize")}
    for member, size in sizes.items():
        if size and member != needed:
            raise validation_error(f"{member} must not be specified when the traffic routing type is {kind}.")
    if needed is None:
        return
    size = sizes[needed]
    if size is None:
        raise validation_error(f"{needed} must be specified when the traffic routing type is {kind}.")
    _check_size(needed, size, variants, *SIZES[kind][1:])


def _check_rolling(update: aws.RollingUpdatePolicyTypeDef, variants: list[Variant]) -> None:
    if len(variants) > 1:
        raise validation_error("Rolling deployments are not supported for multi-variant endpoints.")
    if "ServerlessConfig" in variants[0]:
        raise validation_error("Rolling deployments are not supported for serverless endpoints.")
    _check_size("MaximumBatchSize", update["MaximumBatchSize"], variants, 5, 50)
    if "RollbackMaximumBatchSize" in update:
        _check_size("RollbackMaximumBatchSize", update["RollbackMaximumBatchSize"], variants, 0, 100)


def _check_size(member: str, size: aws.CapacitySizeTypeDef, variants: list[Variant], least: int, most: int) -> None:
    for variant in variants:
        total = instances(variant)
        percent = size["Value"] if size["Type"] == "CAPACITY_PERCENT" else 100 * size["Value"] / total
        if not least <= percent <= most:
            limits = f"{least}% to {most}%" if least else f"at most {most}%"
            raise validation_error(
                f"{member} of {size['Value']} ({size['Type']}) is invalid for variant {variant['VariantName']} with "
                f"{total} instance(s): it must be {limits} of the variant's total instance count."
            )


def _check_timeout(config: DeploymentConfig, variants: list[Variant]) -> None:
    found = update_policy(config, variants)
    waits = sum(step.bake_seconds for step in found.steps)
    if found.timeout_seconds <= waits:
        raise validation_error(
            f"{TIMEOUT} of {found.timeout_seconds} is invalid: it must be larger than the total waiting time of "
            f"{waits} seconds specified in {TERMINATION_WAIT} and {WAIT}."
        )


def check_variants(
    config: DeploymentConfig | None,
    before: list[Variant],
    after: list[Variant],
) -> None:
    """Raise ValidationException when traffic is to be shifted between fleets of different variants."""
    shifts = bool(config) and len(update_policy(config, after).steps) > 1
    names = [sorted(variant["VariantName"] for variant in variants) for variants in (before, after)]
    if shifts and names[0] != names[1]:
        raise validation_error(
            "The new endpoint configuration must have the same variant names as the current one to shift traffic in "
            f"steps: {', '.join(names[0])} is deployed, {', '.join(names[1])} was requested."
        )


def check_alarms(ctx: Context, config: DeploymentConfig | None) -> None:
    """Raise ValidationException when an alarm does not exist."""
    names = alarm_names(config)
    if not names:
        return
    found = ctx.client("cloudwatch").describe_alarms(AlarmNames=names)
    known = {alarm["AlarmName"] for alarm in (*found["MetricAlarms"], *found["CompositeAlarms"])}
    if missing := [name for name in names if name not in known]:
        raise validation_error(f"Could not find CloudWatch alarm(s): {', '.join(missing)}.")
