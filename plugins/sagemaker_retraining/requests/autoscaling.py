"""RegisterScalableTarget and PutScalingPolicy: instances that follow the requests.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling.html
"""

from __future__ import annotations

from sagemaker_retraining.plan import RunPlan
from sagemaker_retraining.plan.document import AutoscalingRequests, ScalableTarget

POLICY = "invocations-per-instance"


def scalable_target(endpoint: str, variant: str) -> ScalableTarget:
    """What Application Auto Scaling calls a variant of an endpoint."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def autoscaling_requests(plan: RunPlan, variant: str) -> AutoscalingRequests | None:
    """None without autoscaling; both operations replace what is there under their name."""
    scaling = plan.model.deploy.autoscaling
    if scaling is None:
        return None
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
