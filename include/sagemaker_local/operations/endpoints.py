"""Create, update, describe, list and delete endpoints. The work itself is done by include/sagemaker_local/endpoints."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints import autoscaling, guardrails, record
from include.sagemaker_local.endpoints.plan import Plan, instances_by_type, is_serverless
from include.sagemaker_local.endpoints.record import Endpoint, VariantSummary
from include.sagemaker_local.errors import AwsError, unsupported_operation, validation_error
from include.sagemaker_local.operations.listing import page
from include.sagemaker_local.operations.named import CONFIG, ENDPOINT, already_exists, not_found, require
from include.sagemaker_local.operations.serving_container import serving_container
from include.sagemaker_local.operations.table import OperationContext, Request, Response, operation
from include.sagemaker_local.operations.tags import check_tags, save_tags
from include.sagemaker_local.state.quotas import Quotas, exceeded

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws


@operation("CreateEndpoint")
def create_endpoint(ctx: OperationContext, request: Request) -> Response:
    """Record the endpoint as Creating and start bringing it up."""
    check_tags(request.get("Tags", []))
    name, now = request["EndpointName"], time.time()
    arn = ctx.arn("endpoint", name)
    plan = _make_plan(ctx, request["EndpointConfigName"])
    plan["DeploymentConfig"] = request.get("DeploymentConfig")
    guardrails.check(plan["DeploymentConfig"], plan["ProductionVariants"])
    _check_quota(ctx, plan)
    body: Endpoint = {
        "EndpointName": name,
        "EndpointArn": arn,
        "EndpointConfigName": plan["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        "_Pending": plan,
    }
    if not ctx.store.insert("endpoint", name, body):
        raise already_exists(ctx, ENDPOINT, name)
    save_tags(ctx, arn, request)
    ctx.endpoints.create(name)
    return {"EndpointArn": arn}


@operation("UpdateEndpoint")
def update_endpoint(ctx: OperationContext, request: Request) -> Response:
    """Record the wanted deployment and start it beside the one that serves, as its DeploymentConfig says."""
    name = request["EndpointName"]
    plan = _make_plan(ctx, request["EndpointConfigName"])
    before = _endpoint(ctx, name)
    plan["DeploymentConfig"] = _deployment_config(ctx, request, before)
    if "_Deployed" in before:
        deployed, wanted = before["_Deployed"]["ProductionVariants"], plan["ProductionVariants"]
        require(ctx, CONFIG, before["EndpointConfigName"])  # an endpoint whose config has been deleted takes no update
        _check_kind(name, before["_Deployed"], plan)
        autoscaling.check_targets(ctx, name, deployed, wanted)
    _check_quota(ctx, plan)

    def change(body: Endpoint) -> None:
        _require_updatable(body)
        if request.get("RetainAllVariantProperties"):
            excluded = request.get("ExcludeRetainedVariantProperties", [])
            record.retain(plan, body, [item["VariantPropertyType"] for item in excluded])
        guardrails.check(plan["DeploymentConfig"], plan["ProductionVariants"])
        guardrails.check_variants(
            plan["DeploymentConfig"], body["_Deployed"]["ProductionVariants"], plan["ProductionVariants"]
        )
        body["_Pending"] = plan
        body["PendingDeploymentSummary"] = record.pending_deployment(plan)
        _updating(body)

    body = _change(ctx, name, change)
    ctx.endpoints.update(name)
    return {"EndpointArn": body["EndpointArn"]}


def _check_quota(ctx: Context, plan: Plan) -> None:
    """Raise ResourceLimitExceeded for instances above a quota; an update has both fleets for a while."""
    wanted = instances_by_type([plan])
    for instance_type, count in wanted.items():
        quota = f"{instance_type} for endpoint usage"
        limit = Quotas(ctx.store).limit(quota)
        if limit is None:
            continue
        bodies = [body for body in ctx.store.list("endpoint") if body["EndpointStatus"] != "Failed"]
        plans = [body[which] for body in bodies for which in ("_Deployed", "_Pending") if body.get(which)]
        used = instances_by_type(plans)[instance_type]
        if used + count > limit:
            raise exceeded(quota, limit, used, count)


def _check_kind(name: str, deployed: Plan, wanted: Plan) -> None:
    """An endpoint stays asynchronous, and never becomes serverless; one that is serverless may get instances, for good.

    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-update.html; aws/sagemaker-python-sdk PR 3124
    """
    if deployed.get("AsyncInferenceConfig") and not wanted["AsyncInferenceConfig"]:
        raise validation_error(
            f"The AsyncInferenceConfig parameter cannot be removed from this endpoint {name}. To change the endpoint "
            f"type, create a new endpoint."
        )
    if is_serverless(wanted) and not is_serverless(deployed):
        raise validation_error(f'Cannot update endpoint "{name}" with instances to a serverless configuration.')


def _deployment_config(ctx: Context, request: Request, before: Endpoint) -> aws.DeploymentConfigOutputTypeDef | None:
    """The given or retained DeploymentConfig, whose alarms exist."""
    retained = before.get("LastDeploymentConfig") if request.get("RetainDeploymentConfig") else None
    config: aws.DeploymentConfigOutputTypeDef | None = request.get("DeploymentConfig", retained)
    guardrails.check_alarms(ctx, config)
    return config


@operation("UpdateEndpointWeightsAndCapacities")
def update_weights_and_capacities(ctx: OperationContext, request: Request) -> Response:
    """Change how requests are shared; instance counts are recorded (one container serves whatever the count)."""
    name = request["EndpointName"]

    def change(body: Endpoint) -> None:
        _require_in_service(body)
        variants = {variant["VariantName"]: variant for variant in record.all_variants(body)}
        for wanted in request["DesiredWeightsAndCapacities"]:
            if wanted["VariantName"] not in variants:
                raise validation_error(
                    f'Could not find variant "{wanted["VariantName"]}" of endpoint "{body["EndpointArn"]}".'
                )
            variant = variants[wanted["VariantName"]]
            if "ServerlessUpdateConfig" in wanted:
                raise unsupported_operation("UpdateEndpointWeightsAndCapacities with ServerlessUpdateConfig")
            if "DesiredWeight" in wanted:
                variant["DesiredWeight"] = variant["CurrentWeight"] = wanted["DesiredWeight"]
            if "DesiredInstanceCount" in wanted:
                variant["DesiredInstanceCount"] = variant["CurrentInstanceCount"] = wanted["DesiredInstanceCount"]
        _updating(body)

    body = _change(ctx, name, change)
    record.announce(ctx, body)
    ctx.endpoints.reweigh(name)
    return {"EndpointArn": body["EndpointArn"]}


@operation("DescribeEndpoint")
def describe_endpoint(ctx: Context, request: Request) -> Response:
    """The endpoint as it is now."""
    body = _endpoint(ctx, request["EndpointName"])
    if variants := body.get("ProductionVariants"):
        return {**body, "ProductionVariants": [_described(variant) for variant in variants]}
    return body


def _described(variant: VariantSummary) -> Mapping[str, object]:
    """Of a serverless variant AWS shows what it has, not what it is to have."""
    hidden = {"DesiredInstanceCount", "DesiredServerlessConfig"} if "CurrentServerlessConfig" in variant else set()
    return {name: value for name, value in variant.items() if name not in hidden}


@operation("ListEndpoints")
def list_endpoints(ctx: Context, request: Request) -> Response:
    """A page of endpoints, newest first."""
    return page(request, ctx.store.list("endpoint"), member="Endpoints", name="EndpointName", status="EndpointStatus")


@operation("DeleteEndpoint")
def delete_endpoint(ctx: OperationContext, request: Request) -> Response:
    """Take the endpoint out of service; its config and model stay."""
    name = request["EndpointName"]

    def change(body: Endpoint) -> None:
        if body["EndpointStatus"] not in ("InService", "Failed", "UpdateRollbackFailed"):
            raise _in_progress(body)
        body["EndpointStatus"] = "Deleting"
        body["LastModifiedTime"] = time.time()

    _change(ctx, name, change)
    ctx.endpoints.delete(name)
    return {}


def _make_plan(ctx: Context, config_name: str) -> Plan:
    """What the endpoint config says, with its models' containers. Raises AwsError when one cannot be served."""
    config = cast("aws.DescribeEndpointConfigOutputTypeDef", require(ctx, CONFIG, config_name))
    production, shadows = config["ProductionVariants"], config.get("ShadowProductionVariants", [])
    containers = {
        variant["VariantName"]: serving_container(ctx, variant["ModelName"]) for variant in (*production, *shadows)
    }
    return {
        "Id": uuid.uuid4().hex[:12],
        "EndpointConfigName": config["EndpointConfigName"],
        "ProductionVariants": production,
        "ShadowProductionVariants": shadows,
        "Containers": containers,
        "DataCaptureConfig": config.get("DataCaptureConfig"),
        "AsyncInferenceConfig": config.get("AsyncInferenceConfig"),
        "DeploymentConfig": None,
    }


def _endpoint(ctx: Context, name: str) -> Endpoint:
    return cast("Endpoint", require(ctx, ENDPOINT, name))


def _change(ctx: Context, name: str, change: Callable[[Endpoint], None]) -> Endpoint:
    try:
        body: Endpoint = ctx.store.update("endpoint", name, change)
    except KeyError as error:
        raise not_found(ctx, ENDPOINT, name) from error
    return body


def _in_progress(body: Endpoint) -> AwsError:
    return validation_error(f'Cannot update in-progress endpoint "{body["EndpointArn"]}".')


def _require_updatable(body: Endpoint) -> None:
    """A new update is also the way out of UpdateRollbackFailed."""
    if body["EndpointStatus"] != "UpdateRollbackFailed":
        _require_in_service(body)


def _require_in_service(body: Endpoint) -> None:
    if body["EndpointStatus"] == "Failed":
        raise validation_error(
            f'Cannot update endpoint "{body["EndpointArn"]}" in status Failed; it can only be deleted.'
        )
    if body["EndpointStatus"] != "InService":
        raise _in_progress(body)


def _updating(body: Endpoint) -> None:
    body["EndpointStatus"] = "Updating"
    body["LastModifiedTime"] = time.time()
