"""An endpoint's row in the store: the members of its Describe answer that follow from plans, and status changes."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict

from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints.plan import Plan, planned_variants
from include.sagemaker_local.events import emit, epoch_ms
from include.sagemaker_local.state.tags import tags_of

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws
    from mypy_boto3_sagemaker.literals import EndpointStatusType, VariantStatusType
    from mypy_boto3_sagemaker.type_defs import ProductionVariantOutputTypeDef as Variant

INTERNAL_ERROR = "Request to service failed. If failure persists after retry, contact customer support."
RESTARTED = "The update was rolled back: the local SageMaker was restarted while it ran."
ALARMS_TRIPPED = "The deployment was rolled back because auto-rollback alarm(s) are in ALARM state:"
ROLLBACK_FAILED = "The rollback failed too: the endpoint is in service with a mix of the old and new configurations."
SCALING: Literal["Updating"] = "Updating"
"""The VariantStatus of autoscaling; a new deployment has others."""
TIMED_OUT = "The deployment was rolled back because it exceeded MaximumExecutionTimeoutInSeconds of {} seconds."


class VariantStage(TypedDict):
    """An entry of a variant's VariantStatus."""

    Status: VariantStatusType
    StatusMessage: NotRequired[str]
    StartTime: float


class VariantSummary(TypedDict):
    """A variant as DescribeEndpoint has it."""

    VariantName: str
    DeployedImages: list[Mapping[str, str | float]]
    CurrentWeight: float
    DesiredWeight: float
    CurrentInstanceCount: int
    DesiredInstanceCount: int
    CurrentServerlessConfig: NotRequired[aws.ProductionVariantServerlessConfigTypeDef]
    DesiredServerlessConfig: NotRequired[aws.ProductionVariantServerlessConfigTypeDef]
    VariantStatus: NotRequired[list[VariantStage]]


class VariantSummaries(TypedDict, total=False):
    """The variants of an endpoint, or of the deployment under way."""

    ProductionVariants: list[VariantSummary]
    ShadowProductionVariants: list[VariantSummary] | None


class PendingDeployment(VariantSummaries):
    """Describe's PendingDeploymentSummary."""

    EndpointConfigName: str
    StartTime: float


class Endpoint(VariantSummaries, total=False):
    """An endpoint as it is stored: what DescribeEndpoint answers, with times as epoch seconds, and our own members."""

    EndpointName: str
    EndpointArn: str
    EndpointConfigName: str
    EndpointStatus: EndpointStatusType
    CreationTime: float
    LastModifiedTime: float
    FailureReason: str | None
    DataCaptureConfig: aws.DataCaptureConfigSummaryTypeDef | None
    AsyncInferenceConfig: aws.AsyncInferenceConfigOutputTypeDef | None
    LastDeploymentConfig: aws.DeploymentConfigOutputTypeDef | None
    PendingDeploymentSummary: PendingDeployment
    _Deployed: Plan
    """The plan that serves."""
    _Pending: Plan
    """The plan that is being brought up."""
    _Mixed: Plan
    """A plan that goes on to serve beside `_Deployed`, because its rollback failed."""


def all_variants(summaries: VariantSummaries) -> list[VariantSummary]:
    """The production variants and the shadow variants."""
    return [*summaries["ProductionVariants"], *(summaries.get("ShadowProductionVariants") or ())]


def retain(plan: Plan, body: Endpoint, excluded: list[str]) -> None:
    """UpdateEndpoint's RetainAllVariantProperties: what the running endpoint has wins over the new config."""
    running = {variant["VariantName"]: variant for variant in all_variants(body)}
    for variant in planned_variants(plan):
        before = running.get(variant["VariantName"])
        if before and "DesiredWeight" not in excluded:
            variant["InitialVariantWeight"] = before["DesiredWeight"]
        if before and "DesiredInstanceCount" not in excluded:
            variant["InitialInstanceCount"] = before["DesiredInstanceCount"]
    if "DataCaptureConfig" not in excluded:
        plan["DataCaptureConfig"] = body["_Deployed"]["DataCaptureConfig"]


def pending_deployment(plan: Plan) -> PendingDeployment:
    """Describe's PendingDeploymentSummary of a deployment that has not begun."""
    started = time.time()
    pending: PendingDeployment = {
        "EndpointConfigName": plan["EndpointConfigName"],
        "StartTime": started,
        **_variants(plan),
    }
    for variant in all_variants(pending):
        variant["CurrentInstanceCount"] = 0
        variant["VariantStatus"] = [{"Status": "Creating", "StartTime": started}]
    return pending


def set_stage(
    ctx: Context, name: str, status: VariantStatusType, active: Callable[[int], int], message: Callable[[int], str]
) -> None:
    """Store the stage of the deployment under way, and send its event.

    `active` makes of a variant's instances those that take requests, `message` of these the StatusMessage.
    """

    def change(body: Endpoint) -> None:
        for variant in all_variants(body["PendingDeploymentSummary"]):
            variant["CurrentInstanceCount"] = number = active(variant["DesiredInstanceCount"])
            variant["VariantStatus"] = [{"Status": status, "StatusMessage": message(number), "StartTime": time.time()}]

    announce(ctx, ctx.store.update("endpoint", name, change), deployment=True)


def set_terminating(ctx: Context, name: str) -> None:
    """Store that the instances of what served so far are terminating, and send the event."""

    def change(body: Endpoint) -> None:
        for variant in all_variants(body):
            message = f"Terminating {variant['CurrentInstanceCount']} instance(s)."
            variant["VariantStatus"] = [{"Status": "Deleting", "StatusMessage": message, "StartTime": time.time()}]

    announce(ctx, ctx.store.update("endpoint", name, change), deployment=True)


def scale(body: Endpoint, variant: str, instances: int) -> None:
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


def is_scaling(body: Endpoint) -> bool:
    """Whether a variant is on its way to another number of instances."""
    return any(_is_scaling(variant) for variant in body.get("ProductionVariants", ()))


def scaled(body: Endpoint) -> None:
    """The variants have the instances that were asked for."""
    for variant in filter(_is_scaling, body.get("ProductionVariants", ())):
        variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"]
        del variant["VariantStatus"]


def _is_scaling(variant: VariantSummary) -> bool:
    return any(stage["Status"] == SCALING for stage in variant.get("VariantStatus", ()))


def weights(body: Endpoint) -> dict[str, float]:
    """How requests are shared among the variants, and copied to a shadow variant."""
    return {variant["VariantName"]: variant["CurrentWeight"] for variant in all_variants(body)}


def deployed(body: Endpoint) -> None:
    """Make the pending plan the one that serves."""
    plan = body.pop("_Pending")
    body.pop("PendingDeploymentSummary", None)
    body.pop("_Mixed", None)
    variants = _variants(plan)
    body["ProductionVariants"] = variants["ProductionVariants"]
    body["ShadowProductionVariants"] = variants.get("ShadowProductionVariants")
    body["_Deployed"] = plan
    body["EndpointConfigName"] = plan["EndpointConfigName"]
    body["DataCaptureConfig"] = _capture(plan["DataCaptureConfig"])
    body["AsyncInferenceConfig"] = plan.get("AsyncInferenceConfig")
    body["LastDeploymentConfig"] = plan.get("DeploymentConfig")
    body["FailureReason"] = None


def rolled_back(body: Endpoint, reason: str) -> None:
    """Drop the pending plan; the endpoint goes on with the old one and says why."""
    body.pop("_Pending", None)
    body.pop("PendingDeploymentSummary", None)
    body["FailureReason"] = reason


def mixed(body: Endpoint, reason: str) -> None:
    """Both plans go on to serve: the rollback failed."""
    body["_Mixed"] = body["_Pending"]
    rolled_back(body, f"{reason} {ROLLBACK_FAILED}")


def _variants(plan: Plan) -> VariantSummaries:
    """Describe's ProductionVariants and, when there are any, ShadowProductionVariants."""

    def summaries(variants: list[Variant]) -> list[VariantSummary]:
        return [_variant(variant, plan["Containers"][variant["VariantName"]]["Image"]) for variant in variants]

    found: VariantSummaries = {"ProductionVariants": summaries(plan["ProductionVariants"])}
    if shadows := plan.get("ShadowProductionVariants"):
        found["ShadowProductionVariants"] = summaries(shadows)
    return found


def _variant(variant: Variant, image: str) -> VariantSummary:
    weight = variant.get("InitialVariantWeight", 1.0)
    count = variant.get("InitialInstanceCount", 0 if "ServerlessConfig" in variant else 1)
    summary: VariantSummary = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": resolved(image), "ResolutionTime": time.time()}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
    if serverless := variant.get("ServerlessConfig"):
        summary["CurrentServerlessConfig"] = summary["DesiredServerlessConfig"] = serverless
    return summary


def resolved(image: str) -> str:
    """`repository@sha256:…`; nobody here knows the image's digest, so it is that of its name."""
    repository = image.rpartition("/")[0] + "/" + image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _capture(config: aws.DataCaptureConfigOutputTypeDef | None) -> aws.DataCaptureConfigSummaryTypeDef | None:
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


def set_status(
    ctx: Context, name: str, status: EndpointStatusType, change: Callable[[Endpoint], None] = lambda body: None
) -> Endpoint:
    """Apply `change` and the new status as one step, and send the event."""

    def both(body: Endpoint) -> None:
        change(body)
        body["EndpointStatus"] = status
        body["LastModifiedTime"] = time.time()

    body: Endpoint = ctx.store.update("endpoint", name, both)
    announce(ctx, body)
    return body


def announce(ctx: Context, body: Endpoint, *, deployment: bool = False) -> None:
    """Send the event of the endpoint's status, or of the stage that its `deployment` has reached, to EventBridge.

    The status is upper snake case there, as AWS has it.
    """
    detail = {
        **epoch_ms(body, "CreationTime", "LastModifiedTime"),
        "EndpointStatus": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", body["EndpointStatus"]).upper(),
        "Tags": {tag["Key"]: tag["Value"] for tag in tags_of(ctx.store, body["EndpointArn"])},
    }
    given = {name: value for name, value in detail.items() if value is not None}
    emit(ctx, f"SageMaker Endpoint {'Deployment ' if deployment else ''}State Change", body["EndpointArn"], given)
