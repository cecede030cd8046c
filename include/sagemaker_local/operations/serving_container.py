"""From a model's name to what its container gets, on an endpoint or in a transform job."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from include.sagemaker_local.containers.model_server import ServingContainer
from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.operations.named import MODEL, require
from include.sagemaker_local.operations.registry import require_model_package

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws


def serving_container(ctx: Context, model_name: str) -> ServingContainer:
    """The container of a model; the model of a model package has the package's.

    Raises AwsError when the model, or its package, does not exist or needs what is not supported here.
    """
    model = cast("aws.DescribeModelOutputTypeDef", require(ctx, MODEL, model_name))
    containers = [model["PrimaryContainer"]] if model.get("PrimaryContainer") else model.get("Containers", [])
    if len(containers) != 1:
        raise validation_error(
            f'Model "{model_name}" has {len(containers)} containers; the local SageMaker serves models with one only.'
        )
    container, isolated = containers[0], model.get("EnableNetworkIsolation", False)
    environment = container.get("Environment", {})
    if package := container.get("ModelPackageName"):
        packaged = _package_container(ctx, package)
        return _serving_container(packaged, {**packaged.get("Environment", {}), **environment}, isolated)
    return _serving_container(container, environment, isolated)


def _serving_container(
    definition: aws.ContainerDefinitionOutputTypeDef | aws.ModelPackageContainerDefinitionOutputTypeDef,
    environment: dict[str, str],
    isolated: bool,
) -> ServingContainer:
    source = definition.get("ModelDataSource", {}).get("S3DataSource")
    if source and source.get("CompressionType") == "None":
        raise validation_error(
            f'ModelDataSource "{source.get("S3Uri")}" has CompressionType None; the local SageMaker serves Gzip only.'
        )
    return {
        "Image": definition.get("Image", ""),
        "ModelDataUrl": definition.get("ModelDataUrl") or (source["S3Uri"] if source else None),
        "Environment": environment,
        "Isolated": isolated,
    }


def _package_container(ctx: Context, package: str) -> aws.ModelPackageContainerDefinitionOutputTypeDef:
    """The first container of a package's InferenceSpecification; `package` is an ARN or a name."""
    body = require_model_package(ctx, package)
    if "InferenceSpecification" not in body or not body["InferenceSpecification"].get("Containers"):
        raise validation_error(f"ModelPackage {body['ModelPackageArn']} has no InferenceSpecification to deploy.")
    return body["InferenceSpecification"]["Containers"][0]
