"""Registration of the trained model as a version of its group in the Model Registry."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.registry import describe_version, run_and_artifact, update_version
from sagemaker_retraining.requests.registry import (
    STATISTICS,
    MetricSources,
    RunResults,
    complete_package,
    foreign_tags,
    metric_sources,
    refusal_request,
    validation_failures,
)
from sagemaker_retraining.requests.validation import RequestError, validate

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_sagemaker.type_defs import (
        CreateModelPackageGroupInputTypeDef,
        CreateModelPackageInputTypeDef,
        DescribeModelPackageOutputTypeDef,
        UpdateModelPackageInputTypeDef,
    )

    from sagemaker_retraining.gate.document import GateResult
    from sagemaker_retraining.outcomes import ProcessingResult, TrainingResult
    from sagemaker_retraining.plan.document import RegisterConfig
    from sagemaker_retraining.raw_months import RawData
    from sagemaker_retraining.xcom import RegisterResult

VALIDATION_SECONDS = 600
DENIED = "AccessDeniedException"


class RegisterModelOperator(AwsBaseOperator[RetrainingHook]):
    """Creates the group if need be and the version: PendingManualApproval, or Rejected when the gate refused it.

    The results of the tasks before it complete the plan's `config`. A version that an earlier try registered is looked
    up first, by run and artefact; should the look-up not see it yet, the ClientToken makes SageMaker answer with it.
    Everything is templated; the provider's operator sends literal braces for what is in its `extras`.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config", "training", "gate", "raw_data", "evaluation", "preprocess")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(
        self,
        *,
        config: RegisterConfig,
        training: TrainingResult,
        gate: GateResult,
        raw_data: RawData,
        evaluation: ProcessingResult,
        preprocess: ProcessingResult,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.training = training
        self.gate = gate
        self.raw_data = raw_data
        self.evaluation = evaluation
        self.preprocess = preprocess

    def execute(self, context: Context) -> RegisterResult:
        """Check everything, then send it. What would be the same at the next try fails at once."""
        results = RunResults(self.training, self.gate, self.raw_data, self.evaluation, self.preprocess)
        package = complete_package(self.config["package"], results, self.existing_sources(results))
        try:
            validate("CreateModelPackageGroup", self.config["group"])
            validate("CreateModelPackage", package)
        except RequestError as error:
            raise AirflowFailException(str(error)) from error
        self.ensure_group(self.config["group"])
        arn = self.registered_before(package) or self.create(package)
        description = self.wait_until_usable(arn)
        if not self.gate["passed"]:
            update_version(self.hook.api, description, self.refusal)
        self.log.info("Registered %s: %s", arn, description["ModelApprovalStatus"])
        return {
            "model_package_arn": arn,
            "version": description["ModelPackageVersion"],
            "group": description["ModelPackageGroupName"],
            "status": description["ModelApprovalStatus"],
        }

    def refusal(self, package: DescribeModelPackageOutputTypeDef) -> UpdateModelPackageInputTypeDef | None:
        """The request that notes why the gate refused a version; None when that is noted already."""
        if package.get("ApprovalDescription"):
            return None
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return refusal_request(package["ModelPackageArn"], self.gate["reason"], at)

    def existing_sources(self, results: RunResults) -> MetricSources:
        """Statistics and constraints that are in S3. Raises AirflowFailException without artefact or evaluation."""
        sources = metric_sources(results)
        for task_id, uri in (("train", results.artifact), ("evaluate", sources[STATISTICS])):
            if not self.hook.exists(uri):
                raise AirflowFailException(
                    f"{uri}: there is no such object, although {task_id} has succeeded; nothing was registered"
                )
        return {member: uri for member, uri in sources.items() if member == STATISTICS or self.hook.exists(uri)}

    def ensure_group(self, request: CreateModelPackageGroupInputTypeDef) -> None:
        """Create the group, or see that the one of that name is ours."""
        name = request["ModelPackageGroupName"]
        try:
            group = self.hook.group_or_none(name)
            if group is None:
                if self.hook.create_unless_there("create_model_package_group", request):
                    return
                group = self.hook.api.describe_model_package_group(ModelPackageGroupName=name)
            tags = self.hook.api.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"]
        except ClientError as error:
            if error.response["Error"]["Code"] != DENIED:
                raise
            raise AirflowFailException(
                f"model package group {name}: {error.response['Error']['Message']}; nothing was registered. The role "
                f"of {self.aws_conn_id} needs what include/iam/dag-role.json grants, or the group is somebody else's: "
                f"then name another one in model.yaml (register.group)"
            ) from error
        if foreign := foreign_tags(request["Tags"], tags):
            raise AirflowFailException(
                f"model package group {name} belongs to somebody else: {'; '.join(foreign)}; nothing was registered. "
                f"Name another group in model.yaml (register.group)"
            )
        if group["ModelPackageGroupStatus"] != "Completed":
            raise AirflowException(f"model package group {name} is {group['ModelPackageGroupStatus']}, not Completed")

    def registered_before(self, package: CreateModelPackageInputTypeDef) -> str | None:
        """The version that an earlier try registered from this run's artefact: none is older than the artefact."""
        pages = self.hook.api.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=package["ModelPackageGroupName"], CreationTimeAfter=str(self.training["ended_at"])
        )
        for summary in (summary for page in pages for summary in page["ModelPackageSummaryList"]):
            arn = summary["ModelPackageArn"]
            if run_and_artifact(describe_version(self.hook.api, arn)) == run_and_artifact(package):
                self.log.info("%s was registered by an earlier try", arn)
                return arn
        return None

    def create(self, package: CreateModelPackageInputTypeDef) -> str:
        """Register. A conflict means that the version is there but was not found, or is there no more."""
        try:
            return self.hook.api.create_model_package(**package)["ModelPackageArn"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise
            raise AirflowException(
                f"{run_and_artifact(package)[1]} was registered by an earlier try with another request: "
                f"{error.response['Error']['Message']} If that version was deleted, clear train for a new artefact"
            ) from error

    def wait_until_usable(self, arn: str) -> DescribeModelPackageOutputTypeDef:
        """SageMaker validates a package after creating it, mostly at once; a failed one is a failed task."""
        deadline = time.monotonic() + VALIDATION_SECONDS
        while True:
            description = describe_version(self.hook.api, arn)
            status = description["ModelPackageStatus"]
            if status == "Completed":
                return description
            if status == "Failed":
                raise AirflowFailException(
                    f"{arn} failed its validation: {validation_failures(description)}. Correct what that names and "
                    f"clear train: the same artefact is not registered again"
                )
            if time.monotonic() > deadline:
                raise AirflowException(f"{arn} is still {status} after {VALIDATION_SECONDS} s")
            time.sleep(2)
