"""An endpoint's row in the store: the plan of a deployment, the Describe members that follow from it, status changes.

`_Deployed` is the plan that serves, `_Pending` the one being brought up. A plan is complete in itself (variants,
containers, capture), so that neither an update nor a restart depends on configs and models deleted since.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from include.sagemaker_local.context import Context
from include.sagemaker_local.events import emit, epoch_ms
from include.sagemaker_local.operations.serving_container import serving_container
from include.sagemaker_local.operations.tags import tags_of

Body = dict[str, Any]
Plan = dict[str, Any]

INTERNAL_ERROR = "Request to service failed. If failure persists after retry, contact customer support."
RESTARTED = "The update was rolled back: the local SageMaker was restarted while it ran."
ALARMS_TRIPPED = "The deployment was rolled back because auto-rollback alarm(s) are in ALARM state:"
ROLLBACK_FAILED = "The rollback failed too: the endpoint is in service with a mix of the old and new configurations."
SCALING = "Updating"
"""The VariantStatus of autoscaling; a new deployment has others."""
TIMED_OUT = "The deployment was rolled back because it exceeded MaximumExecutionTimeoutInSeconds of {} seconds."


def make_plan(ctx: Context, config: Body) -> Plan:
    """Everything needed to bring up an endpoint config. Raises AwsError when a model of it cannot be served."""
    variants = all_variants(config)
    return {
        "Id": uuid.uuid4().hex[:12],
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": [{**variant} for variant in config["ProductionVariants"]],
        "ShadowProductionVariants": [{**variant} for variant in config.get("ShadowProductionVariants", ())],
        "Containers": {variant["VariantName"]: serving_container(ctx, variant["ModelName"]) for variant in variants},
        "DataCaptureConfig": config.get("DataCaptureConfig"),
        "AsyncInferenceConfig": config.get("AsyncInferenceConfig"),
    }


def all_variants(body: Body) -> list[Body]:
    """The production variants and the shadow variants of a config, a plan or an endpoint."""
    return [*body["ProductionVariants"], *(body.get("ShadowProductionVariants") or ())]


def instances(plans: Iterable[Plan]) -> Counter[str]:
    """How many instances of each type deployments have."""
    found: Counter[str] = Counter()
    for variant in (variant for plan in plans for variant in all_variants(plan) if "InstanceType" in variant):
        found[variant["InstanceType"]] += variant["InitialInstanceCount"]
    return found


def is_serverless(plan: Plan) -> bool:
    """Whether any variant of a plan has no instances."""
    return any("ServerlessConfig" in variant for variant in plan["ProductionVariants"])


def retain(plan: Plan, body: Body, excluded: list[str]) -> None:
    """UpdateEndpoint's RetainAllVariantProperties: what the running endpoint has wins over the new config."""
    running = {variant["VariantName"]: variant for variant in all_variants(body)}
    for variant in all_variants(plan):
        before = running.get(variant["VariantName"], {})
        for name, initial in (
            ("DesiredWeight", "InitialVariantWeight"),
            ("DesiredInstanceCount", "InitialInstanceCount"),
        ):
            if name in before and name not in excluded:
                variant[initial] = before[name]
    if "DataCaptureConfig" not in excluded:
        plan["DataCaptureConfig"] = body["_Deployed"]["DataCaptureConfig"]


def pending_summary(plan: Plan) -> Body:
    """Describe's PendingDeploymentSummary of a deployment that has not begun."""
    started = time.time()
    status = [{"Status": "Creating", "StartTime": started}]
    variants = {
        member: [{**summary, "CurrentInstanceCount": 0, "VariantStatus": status} for summary in summaries]
        for member, summaries in _variants(plan).items()
    }
    return {"EndpointConfigName": plan["EndpointConfigName"], "StartTime": started, **variants}


def set_stage(
    ctx: Context, name: str, status: str, active: Callable[[int], int], message: Callable[[int], str]
) -> None:
    """Show the stage of the deployment under way, and tell EventBridge.

    `active` makes of a variant's instances those that take requests, `message` of these the StatusMessage.
    """

    def change(body: Body) -> None:
        for variant in all_variants(body["PendingDeploymentSummary"]):
            variant["CurrentInstanceCount"] = number = active(variant["DesiredInstanceCount"])
            variant["VariantStatus"] = [{"Status": status, "StatusMessage": message(number), "StartTime": time.time()}]

    announce_deployment(ctx, ctx.store.update("endpoint", name, change))


def set_terminating(ctx: Context, name: str) -> None:
    """Show that the instances of what served so far are going away."""

    def change(body: Body) -> None:
        for variant in all_variants(body):
            message = f"Terminating {variant['CurrentInstanceCount']} instance(s)."
            variant["VariantStatus"] = [{"Status": "Deleting", "StatusMessage": message, "StartTime": time.time()}]

    announce_deployment(ctx, ctx.store.update("endpoint", name, change))


def scale(body: Body, variant: str, instances: int) -> None:
    """Begin to give a variant of an endpoint that is InService this many instances; as on AWS it is Updating then."""
    if body["EndpointStatus"] != "InService":
        return
    now = time.time()
    for found in body["ProductionVariants"]:
        if found["VariantName"] == variant:
            way = "out" if instances > found["DesiredInstanceCount"] else "in"
            message = f"Scaling {way} desired instance count to {instances}."
            found["DesiredInstanceCount"] = instances
            found["VariantStatus"] = [{"Status": SCALING, "StatusMessage": message, "StartTime": now}]
    body["EndpointStatus"] = "Updating"
    body["LastModifiedTime"] = now


def is_scaling(body: Body) -> bool:
    """Whether a variant is on its way to another number of instances."""
    return any(_is_scaling(variant) for variant in body.get("ProductionVariants", ()))


def scaled(body: Body) -> None:
    """The variants have the instances that were asked for."""
    for variant in filter(_is_scaling, body.get("ProductionVariants", ())):
        variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"]
        del variant["VariantStatus"]


def _is_scaling(variant: Body) -> bool:
    return any(stage["Status"] == SCALING for stage in variant.get("VariantStatus", ()))


def weights(body: Body) -> dict[str, float]:
    """How requests are shared among the variants, and copied to a shadow variant."""
    return {variant["VariantName"]: variant["CurrentWeight"] for variant in all_variants(body)}


def deployed(body: Body) -> None:
    """Make the pending plan the one that serves."""
    plan: Plan = body.pop("_Pending")
    body.pop("PendingDeploymentSummary", None)
    body.pop("_Mixed", None)
    body.update(
        _Deployed=plan,
        EndpointConfigName=plan["EndpointConfigName"],
        **{"ShadowProductionVariants": None, **_variants(plan)},
        DataCaptureConfig=_capture(plan["DataCaptureConfig"]),
        AsyncInferenceConfig=plan.get("AsyncInferenceConfig"),
        LastDeploymentConfig=plan.get("DeploymentConfig"),
        FailureReason=None,
    )


def rolled_back(body: Body, reason: str) -> None:
    """Drop the pending plan; the endpoint goes on with the old one and says why."""
    body.pop("_Pending", None)
    body.pop("PendingDeploymentSummary", None)
    body["FailureReason"] = reason


def mixed(body: Body, reason: str) -> None:
    """Both plans go on to serve: the rollback failed."""
    body["_Mixed"] = body["_Pending"]
    rolled_back(body, f"{reason} {ROLLBACK_FAILED}")


def _variants(plan: Plan) -> dict[str, list[Body]]:
    """Describe's ProductionVariants and, when there are any, ShadowProductionVariants."""
    return {
        member: [_variant(variant, plan["Containers"][variant["VariantName"]]["Image"]) for variant in plan[member]]
        for member in ("ProductionVariants", "ShadowProductionVariants")
        if plan.get(member)
    }


def _variant(variant: Body, image: str) -> Body:
    weight = variant.get("InitialVariantWeight", 1.0)
    count = variant.get("InitialInstanceCount", 0 if "ServerlessConfig" in variant else 1)
    summary = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": resolved(image), "ResolutionTime": time.time()}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
    if "ServerlessConfig" in variant:
        summary.update(
            CurrentServerlessConfig=variant["ServerlessConfig"], DesiredServerlessConfig=variant["ServerlessConfig"]
        )
    return summary


def resolved(image: str) -> str:
    """`repository@sha256:…`; nobody here knows the image's digest, so it is that of its name."""
    repository = image.rpartition("/")[0] + "/" + image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _capture(config: Body | None) -> Body | None:
    if config is None:
        return None
    enabled = config.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


def set_status(ctx: Context, name: str, status: str, change: Callable[[Body], None] = lambda body: None) -> Body:
    """Apply `change` and the new status as one step, and tell EventBridge."""

    def both(body: Body) -> None:
        change(body)
        body["EndpointStatus"] = status
        body["LastModifiedTime"] = time.time()

    body = ctx.store.update("endpoint", name, both)
    announce(ctx, body)
    return body


def announce(ctx: Context, body: Body) -> None:
    """The `SageMaker Endpoint State Change` event of the status in `body`."""
    _announce(ctx, "SageMaker Endpoint State Change", body)


def announce_deployment(ctx: Context, body: Body) -> None:
    """The event of a deployment's next stage."""
    _announce(ctx, "SageMaker Endpoint Deployment State Change", body)


def _announce(ctx: Context, detail_type: str, body: Body) -> None:
    """Tell EventBridge; the status is upper snake case there, as AWS has it."""
    detail = {
        **epoch_ms(body, "CreationTime", "LastModifiedTime"),
        "EndpointStatus": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", body["EndpointStatus"]).upper(),
        "Tags": {tag["Key"]: tag["Value"] for tag in tags_of(ctx, body["EndpointArn"])},
    }
    given = {name: value for name, value in detail.items() if value is not None}
    emit(ctx, detail_type, body["EndpointArn"], given)
