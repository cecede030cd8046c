"""What `include/environments/<env>.yaml` may say: the account's side of a run."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from sagemaker_retraining.config.patterns import (
    AccountId,
    BucketName,
    EnvironmentName,
    KeyPrefix,
    KmsKey,
    ModelName,
    Region,
    RoleArn,
    Section,
    SecurityGroupId,
    SubnetId,
    TagText,
)
from sagemaker_retraining.s3_uri import s3_uri

RUN_TAGS = ("project", "model", "env", "team", "owner", "pipeline", "run_id", "period", "git_sha", "cost_center")
"""The tags of everything a run makes."""
# Where ARNs do not begin with arn:aws:, by how the region's name begins.
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


def _kms_key(known: dict[str, Any]) -> str | None:  # what pydantic hands to a default
    """The default of the more specific keys; `known` are the values before them."""
    key: str | None = known.get("kms_key_arn")
    return key


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
    role_arn: RoleArn = Field(description="Execution role of jobs.")
    hosting_role_arn: RoleArn = Field(
        default_factory=lambda known: known.get("role_arn", ""),
        description="Execution role of models, and so of endpoints and transform jobs; default role_arn.",
    )
    aws_conn_id: str = Field(default="aws_default", min_length=1, description="Airflow connection for all AWS calls.")
    approver_conn_id: str | None = Field(
        default=None,
        min_length=1,
        description="Airflow connection that may approve versions (include/iam/approver.json), for the decisions made "
        "under Required Actions; default aws_conn_id.",
    )
    project: TagText = Field(default="sagemaker-retraining", description="Tag.")
    kms_key_arn: KmsKey | None = Field(
        default=None,
        description="Key for the three below where they are not given, and for versions in the registry; default AWS's "
        "own.",
    )
    volume_kms_key_arn: KmsKey | None = Field(
        default_factory=_kms_key, description="Key for the disks of jobs and endpoints; default kms_key_arn."
    )
    output_kms_key_arn: KmsKey | None = Field(
        default_factory=_kms_key,
        description="Key for everything that jobs, endpoints and Airflow write to S3, data capture excepted; default "
        "kms_key_arn.",
    )
    capture_kms_key_arn: KmsKey | None = Field(
        default_factory=_kms_key, description="Key for what data capture writes to S3; default kms_key_arn."
    )
    network_isolation: bool = Field(
        default=False,
        description="Containers of jobs and models reach no network, neither S3 nor a package index.",
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

    def uri(self, path: str) -> str:
        """`s3://<bucket>/<prefix>/<path>`"""
        return s3_uri(self.bucket, f"{self.key_prefix}{path}")

    @field_validator("tags", mode="after")
    @classmethod
    def free_to_use(cls, tags: dict[str, str]) -> dict[str, str]:
        """A run's own tags would win over them; AWS keeps the names that begin with aws: for itself."""
        for key in tags:
            if key in RUN_TAGS:
                raise ValueError(f"{key}: is set by every run, like {', '.join(RUN_TAGS)}; choose another name")
            if key.lower().startswith("aws:"):
                raise ValueError(f"{key}: names that start with aws: are reserved by AWS; choose another name")
        return tags

    @property
    def partition(self) -> str:
        """What ARNs here begin with after `arn:`: aws, aws-cn, aws-us-gov, …"""
        return self.role_arn.split(":")[1]

    @model_validator(mode="after")
    def of_this_account_and_region(self) -> Self:
        """SageMaker passes roles of its own account only, and a key is known in its own region only."""
        wanted = next((name for start, name in _PARTITIONS.items() if self.region.startswith(start)), None)
        for name in ("role_arn", "hosting_role_arn"):
            role: str = getattr(self, name)
            if f"::{self.account}:" not in role:
                raise ValueError(f"{name}: {role} is not a role of account {self.account}")
            if role.split(":")[1] != (wanted or self.partition):
                raise ValueError(
                    f"{name}: {role} cannot be used in region {self.region}; ARNs there begin with "
                    f"arn:{wanted or self.partition}:"
                )
        for name in ("kms_key_arn", "volume_kms_key_arn", "output_kms_key_arn", "capture_kms_key_arn"):
            key: str | None = getattr(self, name)
            if key and (key.split(":")[1], key.split(":")[3]) != (self.partition, self.region):
                raise ValueError(f"{name}: {key} is not a key of region {self.region}; SageMaker and S3 use no other")
        return self
