"""The autoscaling of an endpoint, which an update may have to end and to begin again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from sagemaker_retraining.endpoints.state import variants
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.autoscaling import scalable_target
from sagemaker_retraining.requests.hosting import VARIANT
from sagemaker_retraining.xcom import Autoscaling

if TYPE_CHECKING:
    from sagemaker_retraining.described import DescribedEndpoint
    from sagemaker_retraining.plan.document import DeployConfig

# On the endpoint itself, so that only endpoints that scale need permissions for Application Auto Scaling.
AUTOSCALED = "autoscaled"
_OF_A_TARGET = ("MinCapacity", "MaxCapacity")
_OF_A_POLICY = (
    "PolicyName",
    "PolicyType",
    "TargetTrackingScalingPolicyConfiguration",
    "StepScalingPolicyConfiguration",
)


def release_autoscaling(
    hook: RetrainingHook, description: DescribedEndpoint, instance_type: str | None, *, wanted: bool
) -> bool:
    """Before an update to `instance_type`: deregister where AWS demands it, or where autoscaling is not `wanted`.

    True when the number of instances is autoscaling's to decide, so that the update must keep it. UpdateEndpoint fails
    when it changes the instance type of a registered variant; for another model the target may stay.
    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
    """
    if AUTOSCALED not in hook.tags(description["EndpointArn"]):
        return False
    if wanted and instance_type == served_instance_type(hook, description["EndpointConfigName"]):
        return True
    deregister(hook, description)
    return False


def served_instance_type(hook: RetrainingHook, config_name: str) -> str | None:
    """Of the main variant; None for a config that is gone, or serverless."""
    main = variants(hook, config_name).get(VARIANT)
    return main.get("InstanceType") if main else None


def deregister(hook: RetrainingHook, description: DescribedEndpoint) -> None:
    """End the autoscaling of an endpoint; its policies go with it."""
    target = scalable_target(description["EndpointName"], VARIANT)
    try:
        hook.client("application-autoscaling").deregister_scalable_target(**target)
    except ClientError as error:
        answer = error.response["Error"]
        if answer["Code"] != "ObjectNotFoundException" and "No scalable target" not in answer["Message"]:
            raise
    hook.api.delete_tags(ResourceArn=description["EndpointArn"], TagKeys=[AUTOSCALED])
    hook.log.info("Autoscaling of %s is deregistered", description["EndpointName"])


def register_autoscaling(hook: RetrainingHook, deploy: DeployConfig, description: DescribedEndpoint) -> None:
    """After an update. The tag comes first: a target without it would never be deregistered."""
    if "autoscaling" not in deploy:
        return
    hook.api.add_tags(ResourceArn=description["EndpointArn"], Tags=[{"Key": AUTOSCALED, "Value": "yes"}])
    client = hook.client("application-autoscaling")
    client.register_scalable_target(**deploy["autoscaling"]["RegisterScalableTarget"])
    client.put_scaling_policy(**deploy["autoscaling"]["PutScalingPolicy"])
    hook.log.info("Autoscaling of %s: %s", description["EndpointName"], deploy["autoscaling"])


def autoscaling_of(hook: RetrainingHook, description: DescribedEndpoint) -> Autoscaling | None:
    """What scales an endpoint now, or None."""
    if AUTOSCALED not in hook.tags(description["EndpointArn"]):
        return None
    target = scalable_target(description["EndpointName"], VARIANT)
    client = hook.client("application-autoscaling")
    [found] = client.describe_scalable_targets(
        ServiceNamespace=target["ServiceNamespace"],
        ResourceIds=[target["ResourceId"]],
        ScalableDimension=target["ScalableDimension"],
    )["ScalableTargets"] or [None]
    if found is None:
        return None
    policies = client.describe_scaling_policies(**target)["ScalingPolicies"]
    capacity = {key: found[key] for key in _OF_A_TARGET}
    chosen = [{key: policy[key] for key in _OF_A_POLICY if key in policy} for policy in policies]
    return cast("Autoscaling", {"target": {**target, **capacity}, "policies": [{**target, **each} for each in chosen]})


def restore_autoscaling(hook: RetrainingHook, description: DescribedEndpoint, scaling: Autoscaling | None) -> None:
    """After an update was undone: what `autoscaling_of` told before it; None ends what the update has brought."""
    if scaling is None:
        if AUTOSCALED in hook.tags(description["EndpointArn"]):
            deregister(hook, description)
        return
    hook.api.add_tags(ResourceArn=description["EndpointArn"], Tags=[{"Key": AUTOSCALED, "Value": "yes"}])
    client = hook.client("application-autoscaling")
    client.register_scalable_target(**scaling["target"])
    for policy in scaling["policies"]:
        client.put_scaling_policy(**policy)
    hook.log.info("Autoscaling of %s is what it was: %s", description["EndpointName"], scaling)
