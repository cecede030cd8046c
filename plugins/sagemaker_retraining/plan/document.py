"""What `plan.json` and the XComs of the plan task hold: every key, by the task that gets it.

In a DAG the members of these are Jinja templates first; the types describe them as a task finds them, rendered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict

from sagemaker_retraining.gate.document import QualityGateConfig

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling.type_defs import TargetTrackingScalingPolicyConfigurationTypeDef
    from mypy_boto3_cloudwatch.type_defs import PutMetricAlarmInputTypeDef
    from mypy_boto3_sagemaker import type_defs as sagemaker


class PlannedChampion(TypedDict):
    """The version to be compared with; `artifact` is None when its model.tar.gz is gone."""

    arn: str
    artifact: str | None
    version: int | None


class CodeLocation(TypedDict):
    """Where the model's code is in S3: as files below a prefix, and as one archive."""

    sha256: str
    files_uri: str
    archive_uri: str


class PlanFingerprints(TypedDict):
    """SHA-256 of what decides a run: model.yaml, the environment's file, the code."""

    model: str
    environment: str
    code: str


class RunFacts(TypedDict):
    """What one run of one model is called, where its files are, and what it was planned from."""

    model: str
    period: str
    environment: str
    dag_id: str
    run_id: str
    run_key: str
    git_sha: str
    bucket: str
    prefix: str
    plan_uri: str
    checkpoints_uri: str
    code: CodeLocation
    fingerprints: PlanFingerprints
    tags: dict[str, str]
    champion: PlannedChampion | None


class DataReadyConfig(TypedDict):
    """Of `data_ready`: where the raw months are and where the manifest goes; `history_months` None means all."""

    bucket: str
    raw_prefix: str
    period: str
    success_key: str
    history_months: int | None
    manifest_uri: str
    kms_key_arn: str | None


class RegisterConfig(TypedDict):
    """Of `register`: the group's request, and the version's less what only the run's tasks know."""

    group: sagemaker.CreateModelPackageGroupInputTypeDef
    package: sagemaker.CreateModelPackageInputTypeDef


class ModelTemplate(TypedDict):
    """CreateModel less its name and the version it serves."""

    ExecutionRoleArn: str
    Tags: list[sagemaker.TagTypeDef]
    VpcConfig: NotRequired[sagemaker.VpcConfigTypeDef]
    EnableNetworkIsolation: NotRequired[bool]


class EndpointConfigTemplate(TypedDict):
    """CreateEndpointConfig less its name and the names of its models."""

    ProductionVariants: list[sagemaker.ProductionVariantTypeDef]
    ShadowProductionVariants: NotRequired[list[sagemaker.ProductionVariantTypeDef]]
    KmsKeyId: NotRequired[str]
    AsyncInferenceConfig: NotRequired[sagemaker.AsyncInferenceConfigTypeDef]
    DataCaptureConfig: NotRequired[sagemaker.DataCaptureConfigTypeDef]
    Tags: NotRequired[list[sagemaker.TagTypeDef]]


class EndpointTemplate(TypedDict):
    """CreateEndpoint less the name of its config."""

    EndpointName: str
    Tags: list[sagemaker.TagTypeDef]


class ScalableTarget(TypedDict):
    """What Application Auto Scaling knows the instances of an endpoint's variant by."""

    ServiceNamespace: Literal["sagemaker"]
    ResourceId: str
    ScalableDimension: Literal["sagemaker:variant:DesiredInstanceCount"]


class RegisterScalableTargetRequest(ScalableTarget):
    """RegisterScalableTarget: between which numbers of instances."""

    MinCapacity: int
    MaxCapacity: int


class PutScalingPolicyRequest(ScalableTarget):
    """PutScalingPolicy: by which load."""

    PolicyName: str
    PolicyType: Literal["TargetTrackingScaling"]
    TargetTrackingScalingPolicyConfiguration: TargetTrackingScalingPolicyConfigurationTypeDef


class AutoscalingRequests(TypedDict):
    """What lets the number of instances follow the load, by operation of Application Auto Scaling."""

    RegisterScalableTarget: RegisterScalableTargetRequest
    PutScalingPolicy: PutScalingPolicyRequest


# `as` is a keyword of Python, so this one cannot be written as a class.
ChallengerConfig = TypedDict("ChallengerConfig", {"as": Literal["variant", "shadow"], "percent": int})


class DeployConfig(TypedDict):
    """Of `deploy`: requests less what follows from the approved version, and what model.yaml asks for beside them."""

    model: ModelTemplate
    endpoint_config: EndpointConfigTemplate
    endpoint: EndpointTemplate
    deployment: NotRequired[sagemaker.DeploymentConfigTypeDef]
    alarms: NotRequired[list[PutMetricAlarmInputTypeDef]]
    autoscaling: NotRequired[AutoscalingRequests]
    challenger: NotRequired[ChallengerConfig]


class ShadowReportConfig(TypedDict):
    """When and where a shadow's answers are compared with production's."""

    report_after_hours: float | None
    report_uri: str


class VerifyConfig(TypedDict):
    """Of `verify`; `asynchronous_uri` is where requests to an asynchronous endpoint are put."""

    endpoint: str
    tolerance: float
    on_failure: Literal["restore", "keep"]
    kms_key_arn: str | None
    asynchronous_uri: NotRequired[str]
    shadow: NotRequired[ShadowReportConfig]


class CleanupConfig(TypedDict):
    """Of `cleanup`: how many deployments to keep, and the tags and alarms by which they are known as this model's."""

    endpoint: str
    keep: int
    tags: dict[str, str]
    alarms: NotRequired[list[str]]


class TransformJobTemplate(TypedDict):
    """CreateTransformJob less the name of its model."""

    TransformJobName: str
    BatchStrategy: Literal["MultiRecord", "SingleRecord"]
    MaxPayloadInMB: int
    TransformInput: sagemaker.TransformInputTypeDef
    TransformOutput: sagemaker.TransformOutputTypeDef
    TransformResources: sagemaker.TransformResourcesTypeDef
    Tags: list[sagemaker.TagTypeDef]


class TransformConfig(TypedDict):
    """Of `transform`: `name` is how the names of its models begin."""

    name: str
    model: ModelTemplate
    transform: TransformJobTemplate


class TaskConfigs(TypedDict):
    """What each task gets: `transform` with `deploy.kind: batch`, else `deploy`, `verify` and `cleanup`."""

    data_ready: DataReadyConfig
    preprocess: sagemaker.CreateProcessingJobRequestTypeDef
    train: sagemaker.CreateTrainingJobRequestTypeDef
    evaluate: sagemaker.CreateProcessingJobRequestTypeDef
    quality_gate: QualityGateConfig
    register: RegisterConfig
    deploy: NotRequired[DeployConfig]
    verify: NotRequired[VerifyConfig]
    cleanup: NotRequired[CleanupConfig]
    transform: NotRequired[TransformConfig]


class PlanDocument(RunFacts, TaskConfigs):
    """The whole of plan.json."""
