"""Wait until a person has approved or rejected the version in the Model Registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sagemaker_retraining.gate import may_replace
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.triggers.approval import ApprovalTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

DECIDED_BY = "decided_by"


class ModelApprovalSensor(AwsBaseSensor[RetrainingHook]):
    """Goes on when the version is Approved; Rejected skips what follows; the deadline fails, it never approves.

    The registry is the only source of truth: every door (CLI, SageMaker Studio, boto3, an event rule) ends as
    UpdateModelPackage. A version of a month before that of the newest approved one is there for the record: it is
    skipped unless the run was told to `replace_newer`. Returns `{model_package_arn, status, by, reason, at}`.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("model_package_arn", "replace_newer")

    def __init__(
        self,
        *,
        model_package_arn: str,
        poll_seconds: float,
        timeout_seconds: float,
        replace_newer: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.replace_newer = replace_newer
        self.model_package_arn = model_package_arn
        self.poll_seconds = poll_seconds
        self.timeout_seconds = timeout_seconds

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once on the worker, then from the triggerer, for days if it must be."""
        package = self.hook.api.describe_model_package(ModelPackageName=self.model_package_arn)
        if package["ModelApprovalStatus"] != "PendingManualApproval":
            return self.decide(package)
        if context["dag_run"].run_type == "backfill":
            raise AirflowSkipException(f"{self.model_package_arn}: of a backfill, kept for the record, not deployed")
        self.skip_what_is_older(package)
        created = package["CreationTime"].timestamp()
        self.log.info("Waiting for a decision on %s", self.model_package_arn)
        self.defer(
            trigger=ApprovalTrigger(
                model_package_arn=self.model_package_arn,
                poll_seconds=self.poll_seconds,
                # From the version's age, so that a retry does not start the clock anew.
                since=created,
                deadline=created + self.timeout_seconds,
                hook_parameters=self._hook_parameters,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """A decision, or the deadline."""
        if event["status"] == "timeout":
            hours = self.timeout_seconds / 3600
            raise AirflowFailException(f"{self.model_package_arn}: no decision in {hours:g} h; not approved")
        return self.decide(self.hook.api.describe_model_package(ModelPackageName=self.model_package_arn))

    def skip_what_is_older(self, package: dict[str, Any]) -> None:
        """Raises AirflowSkipException for a version that may not replace the newest approved one."""
        approved = self.hook.approved_versions(package["ModelPackageGroupName"])
        months = [period for version in approved if (period := period_of(version))]
        period, newest = period_of(package), max(months, default=None)
        if period and not may_replace(period, newest, asked=bool(self.replace_newer)):
            raise AirflowSkipException(
                f"{self.model_package_arn} is of {period}, {newest} is approved already: kept for the record, not "
                f"deployed (a run with replace_newer would go on)"
            )

    def decide(self, package: dict[str, Any]) -> dict[str, Any]:
        """Who decided what and why; raises for a rejection."""
        decision = decision_of(package)
        said = f"{self.model_package_arn}: {decision['status']} by {decision['by']}: {decision['reason']}"
        self.log.info("%s", said)
        if decision["status"] == "Approved":
            return decision
        raise AirflowSkipException(said)


def period_of(package: dict[str, Any]) -> str | None:
    """The month a version is about, as registration noted it."""
    period: str | None = package.get("CustomerMetadataProperties", {}).get("period")
    return period


def decision_of(package: dict[str, Any]) -> dict[str, Any]:
    """`{model_package_arn, status, by, reason, at}` of a described version.

    The name a door recorded (`decided_by`) comes before the IAM identity, which is often a shared role.
    """
    identity = package.get("LastModifiedBy", {})
    by = (
        package.get("CustomerMetadataProperties", {}).get(DECIDED_BY)
        or identity.get("UserProfileName")
        or identity.get("IamIdentity", {}).get("Arn")
    )
    at = package.get("LastModifiedTime")
    return {
        "model_package_arn": package["ModelPackageArn"],
        "status": package["ModelApprovalStatus"],
        "by": by or "unknown",
        "reason": package.get("ApprovalDescription", ""),
        "at": at.isoformat() if at else None,
    }
