"""Training jobs: create, describe, list, stop, delete."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.jobs.record import TRAINING
from include.sagemaker_local.operations import jobs
from include.sagemaker_local.operations.first_party import REFUSED, is_first_party, metric_definitions
from include.sagemaker_local.operations.table import OperationContext, Request, Response, operation

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import AlgorithmSpecificationTypeDef, ChannelTypeDef, CheckpointConfigTypeDef

_DEFAULTS = {
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
    "ProfilingStatus": "Disabled",
}
_CHANNEL = {"CompressionType": "None", "RecordWrapperType": "None"}
"""What Describe answers of a job and of a channel beside what was asked for."""
_REFUSED_WITH_PREFERENCES = ("InstanceType", "InstanceGroups", "InstancePlacementConfig")


@operation("CreateTrainingJob")
def create_training_job(context: OperationContext, request: Request) -> Response:
    """Check everything, store the job with what AWS's Describe adds to a request, start it."""
    _check(context, request)
    described = {
        **{member: value for member, value in _DEFAULTS.items() if member not in request},
        "AlgorithmSpecification": _described(context, request["AlgorithmSpecification"]),
        "InputDataConfig": [{**_CHANNEL, **channel} for channel in request.get("InputDataConfig", [])],
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]},
        "StoppingCondition": {
            "MaxRuntimeInSeconds": jobs.DEFAULT_RUNTIME_SECONDS,
            **request.get("StoppingCondition", {}),
        },
    }
    return jobs.create(context, TRAINING, request, described)


@operation("DescribeTrainingJob")
def describe_training_job(context: Context, request: Request) -> Response:
    """The job; ValidationException when there is none."""
    return jobs.require(context, TRAINING, request["TrainingJobName"])


@operation("ListTrainingJobs")
def list_training_jobs(context: Context, request: Request) -> Response:
    """Summaries, filtered, sorted and paged."""
    return jobs.summaries(context, TRAINING, request)


@operation("StopTrainingJob")
def stop_training_job(context: OperationContext, request: Request) -> Response:
    """Stop a job that is in progress."""
    jobs.require(context, TRAINING, request["TrainingJobName"])
    return jobs.stop(context, TRAINING, request["TrainingJobName"])


@operation("DeleteTrainingJob")
def delete_training_job(context: Context, request: Request) -> Response:
    """Forget a job that has ended; its name can be used again."""
    return jobs.delete(context, TRAINING, request["TrainingJobName"])


def _check(context: Context, request: Request) -> None:
    """The rules that the service model does not know. Raises ValidationException or ResourceLimitExceeded."""
    jobs.check_common(context, request)
    _check_algorithm(context, request.get("AlgorithmSpecification"))
    _check_resources(context, request)
    _check_spot(request)
    channels = request.get("InputDataConfig", [])
    jobs.check_unique("ChannelName", [channel["ChannelName"] for channel in channels])
    for channel in channels:
        _check_channel(channel)
        jobs.check_objects(context, channel["DataSource"]["S3DataSource"]["S3Uri"], request["RoleArn"])
    jobs.check_bucket(context, "OutputDataConfig.S3OutputPath", request["OutputDataConfig"]["S3OutputPath"])
    if checkpoints := request.get("CheckpointConfig"):
        _check_checkpoints(context, checkpoints)


def _described(context: Context, algorithm: AlgorithmSpecificationTypeDef) -> Mapping[str, object]:
    """What Describe says of the algorithm: AWS's own ones bring definitions of their metrics."""
    added: dict[str, object] = {"EnableSageMakerMetricsTimeSeries": False}
    image = algorithm.get("TrainingImage", "")
    if is_first_party(image, context.settings.account) and (definitions := metric_definitions(image)):
        added["MetricDefinitions"] = definitions
    return {**added, **algorithm}


def _check_algorithm(context: Context, algorithm: AlgorithmSpecificationTypeDef | None) -> None:
    if algorithm is None:
        raise validation_error("AlgorithmSpecification is missing: the local SageMaker has no serverless jobs.")
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise validation_error("AlgorithmSpecification must have exactly one of TrainingImage and AlgorithmName.")
    if algorithm["TrainingInputMode"] == "Pipe":
        raise validation_error("TrainingInputMode Pipe: the local SageMaker knows File and FastFile only.")
    definitions = algorithm.get("MetricDefinitions", [])
    if definitions and is_first_party(algorithm.get("TrainingImage", ""), context.settings.account):
        raise validation_error(REFUSED)
    jobs.check_unique("MetricDefinitions name", [definition["Name"] for definition in definitions])
    for definition in definitions:
        try:
            re.compile(definition["Regex"])
        except (re.error, RecursionError, OverflowError) as error:
            raise validation_error(
                f"The regular expression {definition['Regex']} of metric {definition['Name']} is not valid: {error}."
            ) from error


def _check_resources(context: Context, request: Request) -> None:
    resources = request.get("ResourceConfig", {})
    if "InstancePreferences" in resources:
        both = [member for member in _REFUSED_WITH_PREFERENCES if member in resources]
        both += ["EnableManagedSpotTraining"] if request.get("EnableManagedSpotTraining") else []
        if both:
            raise validation_error(f"InstancePreferences cannot be given together with {both[0]}.")
    if "InstanceType" not in resources:
        raise validation_error("ResourceConfig.InstanceType is missing; the local SageMaker needs it.")
    jobs.check_instances(context, TRAINING, resources, spot=request.get("EnableManagedSpotTraining", False))


def _check_spot(request: Request) -> None:
    condition = request.get("StoppingCondition", {})
    longest = condition.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if longest is not None:
            raise validation_error(
                "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
            )
    elif longest is None or longest < condition.get("MaxRuntimeInSeconds", jobs.DEFAULT_RUNTIME_SECONDS):
        raise validation_error(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )


def _check_channel(channel: ChannelTypeDef) -> None:
    if "S3DataSource" not in channel["DataSource"]:
        raise validation_error(f"Channel {channel['ChannelName']} has no S3DataSource, the only source known here.")
    if channel.get("InputMode") == "Pipe":
        raise validation_error(f"Channel {channel['ChannelName']}: the local SageMaker knows File and FastFile only.")
    if channel["DataSource"]["S3DataSource"]["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise validation_error(f"Channel {channel['ChannelName']}: S3DataType must be S3Prefix or ManifestFile here.")


def _check_checkpoints(context: Context, config: CheckpointConfigTypeDef) -> None:
    path = config.get("LocalPath", "/opt/ml/checkpoints")
    if posixpath.normpath(path) != path.rstrip("/") or not path.startswith("/opt/ml/"):
        raise validation_error(f"CheckpointConfig.LocalPath {path} is not valid: it must be under /opt/ml/.")
    jobs.check_bucket(context, "CheckpointConfig.S3Uri", config["S3Uri"])
