"""RegisterScalableTarget and PutScalingPolicy: instances that follow the requests.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_retraining.plan import RunPlan

POLICY = "invocations-per-instance"


def scalable_target(endpoint: str, variant: str) -> dict[str, str]:
    """What Application Auto Scaling calls a variant of an endpoint."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def autoscaling_requests(plan: RunPlan, variant: str) -> dict[str, dict[str, Any]]:
    """`{operation: request}`, empty without autoscaling; both operations replace what is there under their name."""
    scaling = plan.model.deploy.autoscaling
    if scaling is None:
        return {}
    target = scalable_target(plan.endpoint, variant)
    return {
        "RegisterScalableTarget": {
            **target,
            "MinCapacity": scaling.min_instances,
            "MaxCapacity": scaling.max_instances,
        },
        "PutScalingPolicy": {
            "PolicyName": POLICY,
            **target,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": scaling.invocations_per_instance,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
                "ScaleInCooldown": scaling.scale_in_cooldown_seconds,
                "ScaleOutCooldown": scaling.scale_out_cooldown_seconds,
            },
        },
    }
