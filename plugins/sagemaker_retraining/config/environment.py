"""What `include/environments/<env>.yaml` may say: the account's side of a run."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from sagemaker_retraining.config.rules import (
    AccountId,
    BucketName,
    EnvironmentName,
    KeyPrefix,
    KmsKey,
    ModelName,
    Region,
    RoleArn,
    SecurityGroupId,
    SubnetId,
    TagText,
)
from sagemaker_retraining.config.section import Section


class Vpc(Section):
    """Network of jobs and endpoints."""

    subnets: Annotated[tuple[SubnetId, ...], Field(strict=False, min_length=1, max_length=16)] = Field(
        description="Subnets with a route to S3, SageMaker and CloudWatch."
    )
    security_group_ids: Annotated[tuple[SecurityGroupId, ...], Field(strict=False, min_length=1, max_length=5)] = Field(
        description="Security groups."
    )


class PollSeconds(Section):
    """How often a waiting task asks."""

    job: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds between two looks at a job, or at the raw data."
    )
    approval: float = Field(default=60.0, gt=0, le=3600, description="Seconds between two looks at an approval.")
    endpoint: float = Field(default=30.0, gt=0, le=3600, description="Seconds between two looks at an endpoint.")


class EnvironmentConfig(Section):
    """`environment.yaml`."""

    environment: EnvironmentName = Field(description="The environment's name; its file has the same.")
    region: Region = Field(description="AWS region.")
    account: AccountId = Field(description="AWS account id, in quotes.")
    bucket: BucketName = Field(description="Bucket of everything a run reads and writes.")
    prefix: KeyPrefix | None = Field(
        default=None,
        description="What all keys in the bucket begin with, such as dev; needed where another environment has the "
        "same bucket.",
    )
    role_arn: RoleArn = Field(description="Execution role of jobs and models.")
    aws_conn_id: str = Field(default="aws_default", min_length=1, description="Airflow connection for all AWS calls.")
    approver_conn_id: str | None = Field(
        default=None,
        min_length=1,
        description="Airflow connection that may approve versions (include/iam/approver.json), for the decisions made "
        "under Required Actions; default aws_conn_id.",
    )
    project: TagText = Field(default="sagemaker-retraining", description="Tag.")
    kms_key_arn: KmsKey | None = Field(
        default=None, description="Key for volumes, outputs and captured data; default AWS's own."
    )
    vpc: Vpc | None = Field(default=None, description="Network of jobs and endpoints; default SageMaker's own.")
    encrypt_traffic: bool = Field(default=False, description="Encrypt the traffic between the instances of a job.")
    tags: dict[TagText, TagText] = Field(
        default_factory=dict, max_length=30, description="Further tags on every SageMaker resource."
    )
    wait_for_data: bool = Field(
        default=True, description="Wait for a month's raw data; false: fail at once, where no new data ever come."
    )
    poll_seconds: PollSeconds = Field(default_factory=PollSeconds, description="How often waiting tasks ask.")
    models: dict[ModelName, dict[str, Any]] = Field(
        default_factory=dict, description="Per model, what differs here from its model.yaml, in the same shape."
    )

    @property
    def key_prefix(self) -> str:
        """What comes before every key: `dev/`, or nothing."""
        return f"{self.prefix}/" if self.prefix else ""

    @model_validator(mode="after")
    def role_of_account(self) -> Self:
        """SageMaker passes roles of its own account only."""
        if f"::{self.account}:" not in self.role_arn:
            raise ValueError(f"role_arn: {self.role_arn} is not a role of account {self.account}")
        return self
