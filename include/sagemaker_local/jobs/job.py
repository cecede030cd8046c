"""Jobs as they are stored: the members of their Describe answers that this server reads, and its own with `_`.

The other members of the Create request are stored beside them. Times are epoch seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict, TypeVar

from include.sagemaker_local.containers.model_server import ServingContainer

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws
    from mypy_boto3_sagemaker.literals import BatchStrategyType

IN_PROGRESS, STOPPING = "InProgress", "Stopping"
LIVE_STATUSES = (IN_PROGRESS, STOPPING)


class SecondaryStatusTransition(TypedDict):
    """A secondary status that a training job has entered, and when it left it."""

    Status: str
    StartTime: float
    EndTime: NotRequired[float]
    StatusMessage: str


class FinalMetric(TypedDict):
    """The last value of a training job's metric."""

    MetricName: str
    Value: float
    Timestamp: float


class _Job(TypedDict, total=False):
    """What every job has."""

    CreationTime: float
    LastModifiedTime: float
    Environment: dict[str, str]


class TrainingJob(_Job, total=False):
    """A training job."""

    TrainingJobStatus: str
    TrainingStartTime: float
    TrainingTimeInSeconds: int
    BillableTimeInSeconds: int
    SecondaryStatus: str
    SecondaryStatusTransitions: list[SecondaryStatusTransition]
    ModelArtifacts: aws.ModelArtifactsTypeDef
    RoleArn: str
    AlgorithmSpecification: aws.AlgorithmSpecificationOutputTypeDef
    HyperParameters: dict[str, str]
    InputDataConfig: list[aws.ChannelOutputTypeDef]
    OutputDataConfig: aws.OutputDataConfigTypeDef
    CheckpointConfig: aws.CheckpointConfigTypeDef
    ResourceConfig: aws.ResourceConfigOutputTypeDef
    StoppingCondition: aws.StoppingConditionTypeDef
    EnableManagedSpotTraining: bool
    EnableNetworkIsolation: bool


class ProcessingJob(_Job, total=False):
    """A processing job."""

    ProcessingStartTime: float
    RoleArn: str
    AppSpecification: aws.AppSpecificationOutputTypeDef
    ProcessingInputs: list[aws.ProcessingInputTypeDef]
    ProcessingOutputConfig: aws.ProcessingOutputConfigOutputTypeDef
    StoppingCondition: aws.ProcessingStoppingConditionTypeDef
    NetworkConfig: aws.NetworkConfigOutputTypeDef


class TransformJob(_Job, total=False):
    """A transform job."""

    TransformStartTime: float
    ModelClientConfig: aws.ModelClientConfigTypeDef
    MaxConcurrentTransforms: int
    MaxPayloadInMB: int
    BatchStrategy: BatchStrategyType
    TransformInput: aws.TransformInputTypeDef
    TransformOutput: aws.TransformOutputTypeDef
    DataProcessing: aws.DataProcessingTypeDef
    _Container: ServingContainer
    """Of the job's model, as it was when the job was created."""
    _Role: str


JobT = TypeVar("JobT", TrainingJob, ProcessingJob, TransformJob)
