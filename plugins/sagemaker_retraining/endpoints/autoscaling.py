"""What stands around an update of an endpoint: its alarms before it, its autoscaling before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.endpoints.state import alarms, variants
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.autoscaling import scalable_target
from sagemaker_retraining.requests.hosting import VARIANT
from sagemaker_retraining.requests.rollout import watched_alarms

# On the endpoint itself, so that only endpoints that scale need permissions for Application Auto Scaling.
AUTOSCALED = "autoscaled"
_OF_A_TARGET = ("MinCapacity", "MaxCapacity")
_OF_A_POLICY = (
    "PolicyName",
    "PolicyType",
    "TargetTrackingScalingPolicyConfiguration",
    "StepScalingPolicyConfiguration",
)


def prepare_alarms(hook: RetrainingHook, deploy: Mapping[str, Any]) -> None:
    """Put the described alarms, also those that are there: what is new, no clean-up deletes. `deploy` is the plan's.

    Raises AirflowFailException for a named alarm that does not exist, AirflowException (worth another try) when one is
    on already: SageMaker would go back as soon as it began.
    """
    names = watched_alarms(deploy.get("deployment"))
    if not names:
        return
    there, described = alarms(hook, names), deploy.get("alarms", [])
    ours = {request["AlarmName"] for request in described}
    if missing := [name for name in names if name not in there and name not in ours]:
        raise AirflowFailException(f"deploy.alarms: there is no {', '.join(missing)}; the endpoint stays as it is")
    if on := [name for name, alarm in there.items() if alarm["StateValue"] == "ALARM"]:
        raise AirflowException(
            f"{', '.join(on)}: in ALARM before the update, which SageMaker would roll back at once. See what the "
            f"endpoint serves now; the model's rollback DAG updates without alarms"
        )
    cloudwatch = hook.client("cloudwatch")
    for request in described:
        hook.log.info("Putting alarm %s", request["AlarmName"])
        cloudwatch.put_metric_alarm(**request)


def release_autoscaling(
    hook: RetrainingHook, description: Mapping[str, Any], instance_type: str | None, *, wanted: bool
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
    instance_type: str | None = variants(hook, config_name).get(VARIANT, {}).get("InstanceType")
    return instance_type


def deregister(hook: RetrainingHook, description: Mapping[str, Any]) -> None:
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


def register_autoscaling(hook: RetrainingHook, deploy: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """After an update. The tag comes first: a target without it would never be deregistered."""
    if "autoscaling" not in deploy:
        return
    hook.api.add_tags(ResourceArn=description["EndpointArn"], Tags=[{"Key": AUTOSCALED, "Value": "yes"}])
    client = hook.client("application-autoscaling")
    client.register_scalable_target(**deploy["autoscaling"]["RegisterScalableTarget"])
    client.put_scaling_policy(**deploy["autoscaling"]["PutScalingPolicy"])
    hook.log.info("Autoscaling of %s: %s", description["EndpointName"], deploy["autoscaling"])


def autoscaling_of(hook: RetrainingHook, description: Mapping[str, Any]) -> dict[str, Any] | None:
    """What scales an endpoint now: `{"target": RegisterScalableTarget, "policies": [PutScalingPolicy]}`, or None."""
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
    return {
        "target": {**target, **{key: found[key] for key in _OF_A_TARGET}},
        "policies": [{**target, **{key: policy[key] for key in _OF_A_POLICY if key in policy}} for policy in policies],
    }


def restore_autoscaling(
    hook: RetrainingHook, description: Mapping[str, Any], scaling: Mapping[str, Any] | None
) -> None:
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
