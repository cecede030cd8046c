"""Model artefacts that requests name: they must be in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, ParamValidationError

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError, validation_error
from include.sagemaker_local.s3_uri import split_s3

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws

    Container = (
        aws.ContainerDefinitionTypeDef
        | aws.ModelPackageContainerDefinitionTypeDef
        | aws.ModelPackageContainerDefinitionOutputTypeDef
    )


def require_model_data(context: Context, container: Container) -> str | None:
    """The ETag of a container's `ModelDataUrl`, None when it names no single object.

    Raises ValidationException when the object, or anything under a ModelDataSource prefix, does not exist, and
    UnsupportedOperation for a multi-model container, whose ModelDataUrl is a prefix.
    """
    if container.get("Mode") == "MultiModel":
        raise AwsError(
            "UnsupportedOperation",
            f"Mode MultiModel with the prefix {container.get('ModelDataUrl')} is not implemented by the local "
            "SageMaker, which serves one model in a container.",
            status=501,
        )
    if url := container.get("ModelDataUrl"):
        return _etag(context, url)
    if url := container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri"):
        bucket, key = split_s3(url)
        try:
            found = context.client("s3").list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"]
        except (ClientError, ParamValidationError):
            found = 0
        if not found:
            raise _missing(url)
    return None


def _etag(context: Context, url: str) -> str:
    bucket, key = split_s3(url)
    try:
        etag: str = context.client("s3").head_object(Bucket=bucket, Key=key)["ETag"]
    except (ClientError, ParamValidationError):
        raise _missing(url) from None
    return etag.strip('"')


def _missing(url: str) -> Exception:
    return validation_error(f"Could not find model data at {url}.")
