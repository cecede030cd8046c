"""Transform jobs: create, describe, list, stop."""

from __future__ import annotations

from typing import cast

from include.sagemaker_local.containers.transfers import JobError, NoObjectsError, objects_of
from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.jobs.job import TransformJob
from include.sagemaker_local.jobs.record import TRANSFORM
from include.sagemaker_local.jobs.transform import no_objects
from include.sagemaker_local.jobs.transform_data import parse_processing
from include.sagemaker_local.operations import jobs
from include.sagemaker_local.operations.disks import check_volume_key
from include.sagemaker_local.operations.serving_container import serving_container
from include.sagemaker_local.operations.table import OperationContext, Request, Response, operation
from include.sagemaker_local.operations.tags import check_tags

MOST_MEGABYTES = 100
DEFAULT_MEGABYTES = 6


@operation("CreateTransformJob")
def create_transform_job(context: OperationContext, request: Request) -> Response:
    """Check everything, store the job with its model's container, start it."""
    container = serving_container(context, request["ModelName"])
    model = context.store.get("model", request["ModelName"]) or {}
    role = model.get("ExecutionRoleArn", "")
    check_volume_key(request)
    _check(context, request, role)
    described = {
        "TransformInput": {"CompressionType": "None", "SplitType": "None", **request["TransformInput"]},
        "TransformOutput": {"AssembleWith": "None", "KmsKeyId": "", **request["TransformOutput"]},
        "DataProcessing": {
            "InputFilter": "$",
            "OutputFilter": "$",
            "JoinSource": "None",
            **request.get("DataProcessing", {}),
        },
        "_Container": container,
        "_Role": role,
    }
    return jobs.create(context, TRANSFORM, request, described)


@operation("DescribeTransformJob")
def describe_transform_job(context: Context, request: Request) -> Response:
    """The job; ValidationException when there is none."""
    return jobs.require(context, TRANSFORM, request["TransformJobName"])


@operation("ListTransformJobs")
def list_transform_jobs(context: Context, request: Request) -> Response:
    """Summaries, filtered, sorted and paged."""
    return jobs.summaries(context, TRANSFORM, request)


@operation("StopTransformJob")
def stop_transform_job(context: OperationContext, request: Request) -> Response:
    """Stop a job that is in progress."""
    name = request["TransformJobName"]
    if context.store.get(TRANSFORM, name) is None:
        raise validation_error(f"Could not find job to update with name: {name}")
    return jobs.stop(context, TRANSFORM, name)


def _check(context: Context, request: Request, role: str) -> None:
    """The rules that the service model does not know. Raises ValidationException or ResourceLimitExceeded."""
    check_tags(request.get("Tags", []))
    jobs.check_instances(context, TRANSFORM, request["TransformResources"])
    if "DataCaptureConfig" in request:
        raise validation_error("DataCaptureConfig: the local SageMaker does not capture the data of transform jobs.")
    _check_payload(request)
    source = request["TransformInput"]
    if source.get("SplitType") in ("RecordIO", "TFRecord"):
        raise validation_error(f"SplitType {source['SplitType']}: the local SageMaker knows Line and None only.")
    try:
        parse_processing(cast("TransformJob", request))
    except ValueError as error:
        raise validation_error(f"DataProcessing is not valid: {error}.") from error
    _check_input(context, source["DataSource"]["S3DataSource"], role)
    jobs.check_bucket(context, "TransformOutput.S3OutputPath", request["TransformOutput"]["S3OutputPath"])


def _check_payload(request: Request) -> None:
    payload = request.get("MaxPayloadInMB", DEFAULT_MEGABYTES)
    if payload * max(1, request.get("MaxConcurrentTransforms", 1)) > MOST_MEGABYTES:
        raise validation_error(
            f"MaxPayloadInMB, and MaxConcurrentTransforms * MaxPayloadInMB, must not exceed {MOST_MEGABYTES} MB."
        )


def _check_input(context: Context, source: dict[str, str], role: str) -> None:
    """AWS refuses an input without objects at once; what a manifest names is looked at when the job runs."""
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise validation_error(f"S3DataType {source['S3DataType']} is not one of S3Prefix and ManifestFile.")
    try:
        objects_of(context.client("s3"), source["S3DataType"], source["S3Uri"])
    except NoObjectsError as error:
        raise validation_error(no_objects(error.url, context.settings.region, role)) from error
    except JobError as error:
        raise validation_error(str(error)) from error
