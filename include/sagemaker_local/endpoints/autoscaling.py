"""Application Auto Scaling of variants: target tracking on invocations per instance, as moto stores the policies.

One container serves a variant however many instances it has, so scaling changes the counts that DescribeEndpoint shows.
As on AWS the endpoint is Updating meanwhile, and takes no other change: from one look at the targets to the next.
"""

from __future__ import annotations

import math
import re
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints import record
from include.sagemaker_local.endpoints.metrics import Metrics
from include.sagemaker_local.errors import validation_error

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling.type_defs import ScalableTargetTypeDef as ScalableTarget
    from mypy_boto3_application_autoscaling.type_defs import (
        TargetTrackingScalingPolicyConfigurationOutputTypeDef as TargetTracking,
    )
    from mypy_boto3_sagemaker.type_defs import ProductionVariantOutputTypeDef as Variant

METRIC = "SageMakerVariantInvocationsPerInstance"
WINDOW_SECONDS = 60
COOLDOWN_SECONDS = 300
"""AWS's default for scaling in and out."""
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")


def scalable_targets(ctx: Context) -> list[ScalableTarget]:
    """All variants that Application Auto Scaling knows."""
    if "moto.applicationautoscaling.models" not in sys.modules:
        return []  # nobody has used it, and loading it would cost 130 MB
    client = ctx.client("application-autoscaling")
    found: list[ScalableTarget] = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return found


def check_targets(ctx: Context, name: str, before: list[Variant], after: list[Variant]) -> None:
    """Raise ValidationException when an update would remove a scaled variant or give it another instance type."""
    wanted = {variant["VariantName"]: variant.get("InstanceType") for variant in after}
    touched = [v["VariantName"] for v in before if wanted.get(v["VariantName"], "") != v.get("InstanceType")]
    scaled = {target["ResourceId"] for target in scalable_targets(ctx)}
    if refused := [f'"{variant}"' for variant in touched if f"endpoint/{name}/variant/{variant}" in scaled]:
        raise validation_error(
            f"The variant(s) [{', '.join(refused)}] must be deregistered as scalable targets with AWS Auto Scaling "
            "before they can be removed or have their instance type updated."
        )


def deregister(ctx: Context, name: str) -> None:
    """DeleteEndpoint deregisters the endpoint's scalable targets, and with them their policies.

    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-delete-with-scaling.html
    """
    for target in scalable_targets(ctx):
        if target["ResourceId"].startswith(f"endpoint/{name}/variant/"):
            of = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
            ctx.client("application-autoscaling").deregister_scalable_target(**of)


class Autoscaling:
    """Applies the scaling policies of variants whose endpoint is InService."""

    def __init__(self, ctx: Context, metrics: Metrics) -> None:
        self._ctx = ctx
        self._metrics = metrics
        self._scaled_at: dict[str, float] = {}

    def apply(self) -> None:
        """End what the last look began, and look at every scalable target once."""
        for body in filter(record.is_scaling, self._ctx.store.list("endpoint")):
            record.set_status(self._ctx, body["EndpointName"], "InService", record.scaled)
        targets = scalable_targets(self._ctx)
        if not targets:
            return
        client = self._ctx.client("application-autoscaling")
        policies = client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
        for target in targets:
            for policy in policies:
                if policy["ResourceId"] == target["ResourceId"] and policy["PolicyType"] == "TargetTrackingScaling":
                    self._track(target, policy["TargetTrackingScalingPolicyConfiguration"])

    def _track(self, target: ScalableTarget, policy: TargetTracking) -> None:
        resource = _RESOURCE.fullmatch(target["ResourceId"])
        metric = policy.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if resource is None or metric != METRIC:
            return
        name, variant = resource.groups()
        body = self._ctx.store.get("endpoint", name)
        if body is None or body["EndpointStatus"] != "InService":
            return
        now = time.time()
        invocations = self._metrics.between(name, variant, None, now - WINDOW_SECONDS, now).invocations
        wanted = math.ceil(invocations / (WINDOW_SECONDS / 60) / policy["TargetValue"])
        wanted = min(max(wanted, target["MinCapacity"]), target["MaxCapacity"])
        for found in body["ProductionVariants"]:
            if found["VariantName"] == variant and self._may_scale(
                target, policy, found["DesiredInstanceCount"], wanted
            ):
                change = partial(record.scale, variant=variant, instances=wanted)
                record.announce(self._ctx, self._ctx.store.update("endpoint", name, change))
                self._scaled_at[target["ResourceId"]] = now

    def _may_scale(self, target: ScalableTarget, policy: TargetTracking, present: int, wanted: int) -> bool:
        """Whether there is something to change and the last change is long enough ago."""
        cooldown = policy.get("ScaleOutCooldown") if wanted > present else policy.get("ScaleInCooldown")
        since = time.time() - self._scaled_at.get(target["ResourceId"], 0)
        return wanted != present and since >= (COOLDOWN_SECONDS if cooldown is None else cooldown)
