"""Every XCom of the DAGs: the result of each task, as the tasks after it and the command line read it.

| task | result |
|---|---|
| plan | `plan.document.PlanDocument`; of a rollback `RollbackPlan`, of a promotion `PromotionPlan` |
| data_ready | `raw_months.RawData` |
| preprocess, evaluate, train, transform | `ProcessingResult`, `TrainingResult`, `TransformResult` of `outcomes` |
| quality_gate | `gate.document.GateResult` |
| register | `RegisterResult` |
| approval, review | `requests.approval.ApprovalResult` |
| deploy | `DeployResult` |
| verify | `VerifyResult`; of a shadow `ShadowReport` |
| cleanup | `CleanupResult` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from sagemaker_retraining.plan.document import CleanupConfig, DeployConfig, VerifyConfig
from sagemaker_retraining.shadow.document import ShadowFacts, ShadowFigures

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling.type_defs import (
        PutScalingPolicyRequestTypeDef,
        RegisterScalableTargetRequestTypeDef,
    )
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType
    from mypy_boto3_sagemaker.type_defs import CreateModelPackageGroupInputTypeDef, CreateModelPackageInputTypeDef


class RegisterResult(TypedDict):
    """The version in the Model Registry; `status` is its approval status."""

    model_package_arn: str
    version: int
    group: str
    status: ModelApprovalStatusType


class Autoscaling(TypedDict):
    """What scales an endpoint: the requests of Application Auto Scaling that would make it again."""

    target: RegisterScalableTargetRequestTypeDef
    policies: list[PutScalingPolicyRequestTypeDef]


class DeployTarget(TypedDict):
    """Where the new version is when its deployment is done; as a shadow it does not answer."""

    endpoint_config: str
    model: str
    variant: str
    shadow: bool


class DeployResult(DeployTarget):
    """What serves now, and what served before."""

    endpoint: str
    status: str
    previous_endpoint_config: str | None
    previous_autoscaling: NotRequired[Autoscaling | None]


class VerifyResult(TypedDict):
    """The sample's requests, the largest difference from the offline predictions, and latencies in milliseconds."""

    requests: int
    max_difference: float | None
    p50_ms: float
    p90_ms: float
    p99_ms: float


class ShadowReport(ShadowFacts, ShadowFigures):
    """The comparison of a shadow with production, without single predictions; `report` is the page's URI."""


class CleanupResult(TypedDict):
    """The names of what was deleted."""

    configs: list[str]
    models: list[str]
    alarms: list[str]


class ServingPlan(TypedDict):
    """What the plans of a rollback and of a promotion have in common; `note` is the line for the registry."""

    sample_uri: str
    deploy: DeployConfig
    verify: VerifyConfig
    cleanup: CleanupConfig
    note: str


class RollbackPlan(ServingPlan):
    """The version that is to serve, and the one it replaces."""

    model_package_arn: str
    replaced_arn: str | None


class PromotionPlan(ServingPlan):
    """What is copied (URI to URI), registered and deployed in the target, through its connection."""

    source: str
    source_arn: str
    aws_conn_id: str
    region_name: str
    kms_key_arn: str | None
    group: CreateModelPackageGroupInputTypeDef
    package: CreateModelPackageInputTypeDef
    copies: dict[str, str]
