"""Registration of the trained model as a version that waits for a person."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.registry import complete_package
from sagemaker_retraining.requests.validation import validate

if TYPE_CHECKING:
    from airflow.sdk import Context

VALIDATION_SECONDS = 600


class RegisterModelOperator(AwsBaseOperator[RetrainingHook]):
    """Creates the group if need be and the version, PendingManualApproval.

    `config` is the plan's `register` (`{group, package}`); `training`, `gate`, `raw_data` and `evaluation` are the
    results of these tasks and complete it. The ClientToken in the request makes a retry find the version of the first
    try. Everything is templated; the provider's operator sends literal braces for what is in its `extras`.
    Returns `{model_package_arn, version, group}`.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config", "training", "gate", "raw_data", "evaluation")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(
        self,
        *,
        config: dict[str, Any],
        training: dict[str, Any],
        gate: dict[str, Any],
        raw_data: dict[str, Any],
        evaluation: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.training = training
        self.gate = gate
        self.raw_data = raw_data
        self.evaluation = evaluation

    def execute(self, context: Context) -> dict[str, Any]:
        """Validate both requests in full, then send them."""
        package = complete_package(
            self.config["package"], self.training, self.gate["challenger"], self.raw_data, self.evaluation
        )
        validate("CreateModelPackageGroup", self.config["group"])
        validate("CreateModelPackage", package)
        self.hook.ensure_group(self.config["group"])
        arn = self.hook.api.create_model_package(**package)["ModelPackageArn"]
        description = self.wait_until_usable(arn)
        self.log.info("Registered %s: %s", arn, description["ModelApprovalStatus"])
        return {
            "model_package_arn": arn,
            "version": description["ModelPackageVersion"],
            "group": description["ModelPackageGroupName"],
        }

    def wait_until_usable(self, arn: str) -> Mapping[str, Any]:
        """SageMaker validates a package after creating it, mostly at once; a failed one is a failed task."""
        deadline = time.monotonic() + VALIDATION_SECONDS
        while True:
            description: dict[str, Any] = self.hook.api.describe_model_package(ModelPackageName=arn)
            if description["ModelPackageStatus"] == "Completed":
                return description
            if description["ModelPackageStatus"] == "Failed" or time.monotonic() > deadline:
                raise AirflowFailException(
                    f"{arn} is {description['ModelPackageStatus']}: {description.get('ModelPackageStatusDetails')}"
                )
            time.sleep(2)
