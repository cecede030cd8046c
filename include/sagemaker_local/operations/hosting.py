"""Models and endpoint configurations: what an endpoint is made of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.events import emit
from include.sagemaker_local.operations.listing import page
from include.sagemaker_local.operations.model_data import require_model_data
from include.sagemaker_local.operations.named import CONFIG, MODEL, already_exists, not_found, require
from include.sagemaker_local.operations.registry import require_model_package
from include.sagemaker_local.operations.roles import require_role
from include.sagemaker_local.operations.table import Request, Response, operation
from include.sagemaker_local.operations.tags import check_tags, save_tags
from include.sagemaker_local.state.tags import delete_all_tags

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import ContainerDefinitionTypeDef, ProductionVariantTypeDef


@operation("CreateModel")
def create_model(context: Context, request: Request) -> Response:
    """Store a model after checking that its role, artefacts and model packages exist."""
    name = request["ModelName"]
    arn = context.arn(MODEL, name)
    containers = [
        *request.get("Containers", []),
        *([request["PrimaryContainer"]] if "PrimaryContainer" in request else []),
    ]
    if not containers or ("Containers" in request and "PrimaryContainer" in request):
        raise validation_error("You must provide either a PrimaryContainer or Containers, but not both.")
    check_tags(request.get("Tags", []))
    if context.store.get(MODEL, name) is not None:
        raise already_exists(context, MODEL, name)
    if "ExecutionRoleArn" in request:
        require_role(context, request["ExecutionRoleArn"])
    for container in containers:
        _check_container(context, container)
    body = {**request, "ModelArn": arn, "CreationTime": time.time()}
    body.setdefault("EnableNetworkIsolation", False)
    if "Containers" in request:
        body["Containers"] = [{"Mode": "SingleModel", **container} for container in request["Containers"]]
    else:
        body["PrimaryContainer"] = {"Mode": "SingleModel", **request["PrimaryContainer"]}
    if not context.store.insert(MODEL, name, body):
        raise already_exists(context, MODEL, name)
    save_tags(context, arn, request)
    emit(context, "SageMaker Model State Change", arn, body)
    return {"ModelArn": arn}


def _check_container(context: Context, container: ContainerDefinitionTypeDef) -> None:
    if "ModelPackageName" in container:
        if "Image" in container or "ModelDataUrl" in container:
            raise validation_error("A container with ModelPackageName must have neither Image nor ModelDataUrl.")
        package = require_model_package(context, container["ModelPackageName"])
        for packaged in package.get("InferenceSpecification", {}).get("Containers", []):
            require_model_data(context, packaged)
    elif "Image" not in container:
        raise validation_error("A container must have either Image or ModelPackageName.")
    else:
        require_model_data(context, container)


@operation("DescribeModel")
def describe_model(context: Context, request: Request) -> Response:
    """The model."""
    return require(context, MODEL, request["ModelName"])


@operation("ListModels")
def list_models(context: Context, request: Request) -> Response:
    """The models, filtered, sorted and paged."""
    return page(request, context.store.list(MODEL), member="Models", name="ModelName")


@operation("DeleteModel")
def delete_model(context: Context, request: Request) -> Response:
    """Forget the model; its artefacts stay, and so do endpoints that serve it."""
    body = require(context, MODEL, request["ModelName"])
    response = _delete(context, MODEL, request["ModelName"])
    emit(context, "SageMaker Model State Change", body["ModelArn"], body)
    return response


@operation("CreateEndpointConfig")
def create_endpoint_config(context: Context, request: Request) -> Response:
    """Store a configuration after checking its variants and that their models exist."""
    name = request["EndpointConfigName"]
    arn = context.arn(CONFIG, name)
    check_tags(request.get("Tags", []))
    if context.store.get(CONFIG, name) is not None:
        raise already_exists(context, CONFIG, name)
    variants = [*request["ProductionVariants"], *request.get("ShadowProductionVariants", [])]
    _check_variants(request, variants)
    for variant in variants:
        _check_variant(context, variant)
    body = {**request, "EndpointConfigArn": arn, "CreationTime": time.time()}
    for member in {"ProductionVariants", "ShadowProductionVariants"} & set(request):
        body[member] = [{"InitialVariantWeight": 1.0, **variant} for variant in request[member]]
    if "DataCaptureConfig" in request:
        body["DataCaptureConfig"] = {"EnableCapture": True, **request["DataCaptureConfig"]}
    if not context.store.insert(CONFIG, name, body):
        raise already_exists(context, CONFIG, name)
    save_tags(context, arn, request)
    return {"EndpointConfigArn": arn}


def _check_variants(request: Request, variants: list[ProductionVariantTypeDef]) -> None:
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise validation_error(f"Production variant names must be unique: {', '.join(names)}")
    shadows = request.get("ShadowProductionVariants", [])
    if shadows and (len(shadows), len(request["ProductionVariants"])) != (1, 1):
        raise validation_error("Shadow tests need exactly one production variant and one shadow production variant.")
    serverless = any("ServerlessConfig" in variant for variant in variants)
    if "AsyncInferenceConfig" in request and (serverless or shadows):
        raise validation_error("AsyncInferenceConfig is not supported with serverless and shadow variants.")
    if serverless and len(variants) > 1:
        raise validation_error("Serverless endpoints have one production variant, and no shadow variant.")
    if "DataCaptureConfig" in request and serverless:
        raise validation_error("Data capture is not supported for serverless endpoints.")


def _check_variant(context: Context, variant: ProductionVariantTypeDef) -> None:
    name = variant["VariantName"]
    if "ModelName" not in variant:
        raise validation_error(f"ModelName is required for production variant {name}.")
    require(context, MODEL, variant["ModelName"])
    instances = ("InstanceType" in variant, "InitialInstanceCount" in variant)
    if "ServerlessConfig" in variant:
        if any(instances):
            raise validation_error(
                f"Production variant {name} has a ServerlessConfig, so no InstanceType or InitialInstanceCount."
            )
        memory = variant["ServerlessConfig"]["MemorySizeInMB"]
        if memory % 1024:
            raise validation_error(
                f"MemorySizeInMB of production variant {name} is {memory}; it must be a multiple of 1024 up to 6144."
            )
        most = variant["ServerlessConfig"]["MaxConcurrency"]
        if variant["ServerlessConfig"].get("ProvisionedConcurrency", 0) > most:
            raise validation_error(f"ProvisionedConcurrency of production variant {name} exceeds its MaxConcurrency.")
    elif "InstancePools" not in variant and not all(instances):
        raise validation_error(f"Production variant {name} needs InstanceType and InitialInstanceCount.")


@operation("DescribeEndpointConfig")
def describe_endpoint_config(context: Context, request: Request) -> Response:
    """The configuration."""
    return require(context, CONFIG, request["EndpointConfigName"])


@operation("ListEndpointConfigs")
def list_endpoint_configs(context: Context, request: Request) -> Response:
    """The configurations, filtered, sorted and paged."""
    return page(request, context.store.list(CONFIG), member="EndpointConfigs", name="EndpointConfigName")


@operation("DeleteEndpointConfig")
def delete_endpoint_config(context: Context, request: Request) -> Response:
    """Forget the configuration; AWS too allows that while an endpoint uses it."""
    return _delete(context, CONFIG, request["EndpointConfigName"])


def _delete(context: Context, kind: str, name: str) -> Response:
    if not context.store.delete(kind, name):
        raise not_found(context, kind, name)
    delete_all_tags(context.store, context.arn(kind, name))
    return {}
