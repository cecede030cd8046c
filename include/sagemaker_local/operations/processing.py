"""Processing jobs: create, describe, list, stop, delete."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.jobs.record import PROCESSING
from include.sagemaker_local.operations import jobs
from include.sagemaker_local.operations.table import OperationContext, Request, Response, operation

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import ProcessingInputTypeDef, ProcessingOutputTypeDef

ROOT = "/opt/ml/processing"
_ECR = re.compile(r"\d{12}\.dkr[.-]ecr\.[a-z0-9-]+\.[a-z.]+/\S+")


@operation("CreateProcessingJob")
def create_processing_job(context: OperationContext, request: Request) -> Response:
    """Check everything, store the job, start it."""
    _check(context, request)
    stopping = {"MaxRuntimeInSeconds": jobs.DEFAULT_RUNTIME_SECONDS, **request.get("StoppingCondition", {})}
    return jobs.create(context, PROCESSING, request, {**_described(request), "StoppingCondition": stopping})


def _described(request: Request) -> Mapping[str, object]:
    """The inputs and outputs as AWS's Describe has them, if there are any."""
    described: dict[str, object] = {}
    if "ProcessingInputs" in request:
        described["ProcessingInputs"] = [_described_input(item) for item in request["ProcessingInputs"]]
    if outputs := request.get("ProcessingOutputConfig"):
        items = [{"AppManaged": False, **item} for item in outputs.get("Outputs", [])]
        described["ProcessingOutputConfig"] = {**outputs, "Outputs": items}
    return described


def _described_input(item: ProcessingInputTypeDef) -> Mapping[str, object]:
    source = item.get("S3Input")
    more = {"S3Input": {"S3DataDistributionType": "FullyReplicated", **source}} if source else {}
    return {"AppManaged": False, **item, **more}


@operation("DescribeProcessingJob")
def describe_processing_job(context: Context, request: Request) -> Response:
    """The job; ValidationException when there is none."""
    return jobs.require(context, PROCESSING, request["ProcessingJobName"])


@operation("ListProcessingJobs")
def list_processing_jobs(context: Context, request: Request) -> Response:
    """Summaries, filtered, sorted and paged."""
    return jobs.summaries(context, PROCESSING, request)


@operation("StopProcessingJob")
def stop_processing_job(context: OperationContext, request: Request) -> Response:
    """Stop a job that is in progress."""
    jobs.require(context, PROCESSING, request["ProcessingJobName"])
    return jobs.stop(context, PROCESSING, request["ProcessingJobName"])


@operation("DeleteProcessingJob")
def delete_processing_job(context: Context, request: Request) -> Response:
    """Forget a job that has ended; its name can be used again."""
    return jobs.delete(context, PROCESSING, request["ProcessingJobName"])


def _check(context: Context, request: Request) -> None:
    """The rules that the service model does not know. Raises ValidationException or ResourceLimitExceeded."""
    jobs.check_common(context, request)
    jobs.check_instances(context, PROCESSING, request["ProcessingResources"]["ClusterConfig"])
    image = request["AppSpecification"]["ImageUri"]
    if not _ECR.fullmatch(image):
        raise validation_error(
            f"Invalid image URI {image}. Please provide a valid Amazon Elastic Container Registry path of the Docker "
            f"image to run."
        )
    if "ContainerEntrypoint" not in request["AppSpecification"]:
        raise validation_error(
            "AppSpecification.ContainerEntrypoint is missing: the local SageMaker has no container images, so it does "
            "not know an image's own entrypoint."
        )
    inputs = request.get("ProcessingInputs", [])
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    jobs.check_unique("InputName", [item["InputName"] for item in inputs])
    jobs.check_unique("OutputName", [item["OutputName"] for item in outputs])
    for item in inputs:
        _check_input(item)
    paths = [item["S3Input"]["LocalPath"] for item in inputs if "LocalPath" in item.get("S3Input", {})]
    if len({posixpath.normpath(path) for path in paths}) < len(paths):
        # Two inputs in one folder: AWS gives no reason (sagemaker-python-sdk issue 4939, as its support explained it).
        raise validation_error("")
    for item in outputs:
        _check_output(context, item)


def _check_input(item: ProcessingInputTypeDef) -> None:
    name, source = item["InputName"], item.get("S3Input")
    if item.get("AppManaged"):
        return
    if source is None:
        raise validation_error(f"Input {name} has no S3Input, and the local SageMaker knows no other source.")
    if source.get("S3InputMode") == "Pipe":
        raise validation_error(f"Input {name} has S3InputMode Pipe; the local SageMaker knows File only.")
    if "LocalPath" in source:  # without it the job fails
        _check_local_path("input", name, source["LocalPath"])


def _check_output(context: Context, item: ProcessingOutputTypeDef) -> None:
    target = item.get("S3Output")
    if target is None or item.get("AppManaged"):
        return
    if "LocalPath" in target:
        _check_local_path("output", item["OutputName"], target["LocalPath"])
    jobs.check_bucket(context, "S3Output.S3Uri", target["S3Uri"])


def _check_local_path(kind: str, name: str, path: str) -> None:
    """SageMaker Processing sees /opt/ml/processing and below only."""
    if posixpath.normpath(path) != path.rstrip("/") or not path.startswith(f"{ROOT}/"):
        raise validation_error(f"LocalPath {path} of {kind} {name} is not valid: it must be under {ROOT}/.")
