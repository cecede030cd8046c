"""From a model's name to what its container gets, on an endpoint or in a transform job."""

from __future__ import annotations

from typing import Any

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.operations.registry import require_model_package


def serving_container(ctx: Context, model_name: str) -> dict[str, Any]:
    """`{"Image", "ModelDataUrl", "Environment", "Isolated"}` of a model; that of a model package has its container.

    Raises AwsError when the model, or its package, does not exist or needs what is not supported here.
    """
    model = ctx.store.get("model", model_name)
    if model is None:
        raise validation_error(f'Could not find model "{ctx.arn("model", model_name)}".')
    containers = [model["PrimaryContainer"]] if model.get("PrimaryContainer") else model.get("Containers", [])
    if len(containers) != 1:
        raise validation_error(
            f'Model "{model_name}" has {len(containers)} containers; the local SageMaker serves models with one only.'
        )
    container, isolated = containers[0], {"Isolated": model.get("EnableNetworkIsolation", False)}
    if not container.get("ModelPackageName"):
        return _container(container, container.get("Environment", {})) | isolated
    packaged = _package_container(ctx, container["ModelPackageName"])
    return _container(packaged, {**packaged.get("Environment", {}), **container.get("Environment", {})}) | isolated


def _container(definition: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    source = definition.get("ModelDataSource", {}).get("S3DataSource", {})
    if source.get("CompressionType") == "None":
        raise validation_error(
            f'ModelDataSource "{source.get("S3Uri")}" has CompressionType None; the local SageMaker serves Gzip only.'
        )
    return {
        "Image": definition.get("Image", ""),
        "ModelDataUrl": definition.get("ModelDataUrl") or source.get("S3Uri"),
        "Environment": environment,
    }


def _package_container(ctx: Context, package: str) -> dict[str, Any]:
    """The first container of a package's InferenceSpecification; `package` is an ARN or a name."""
    body = require_model_package(ctx, package)
    containers: list[dict[str, Any]] = body.get("InferenceSpecification", {}).get("Containers", [])
    if not containers:
        raise validation_error(f"ModelPackage {body['ModelPackageArn']} has no InferenceSpecification to deploy.")
    return containers[0]
