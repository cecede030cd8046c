"""Wait until a person has approved or rejected the version in the Model Registry."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.closing import close_task
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.approval import (
    APPROVED,
    DEADLINE,
    REJECTED,
    ApprovalDecision,
    ApprovalResult,
    decision_of,
    short_name,
)
from sagemaker_retraining.triggers.approval import ApprovalTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sagemaker_retraining.described import DescribedVersion
    from sagemaker_retraining.triggers.base import PollEvent


class ModelApprovalSensor(AwsBaseSensor[RetrainingHook]):
    """Goes on when the version is Approved; what else may happen is the model's choice, and it is never an approval.

    - Rejected: `on_rejected` skip (what follows is skipped, the run succeeds) or fail.
    - No decision `timeout_seconds` after the version's creation: `on_timeout` fail; reject, in the registry, and then
      as any rejection; or expire, which skips and leaves the version pending.
    - A version of a backfill, or of a month before the newest approved one, is there for the record, and one that is
      waiting is superseded when a newer one is approved: skipped, unless the run was told to `replace_newer`.

    The registry is the only source of truth: every approval channel ends as UpdateModelPackage. `review_task_id` is the
    task that asks under Required Actions; it is closed when this one knows the outcome.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("model_package_arn", "replace_newer")

    def __init__(
        self,
        *,
        model_package_arn: str,
        poll_seconds: float,
        timeout_seconds: float,
        on_timeout: Literal["fail", "reject", "expire"] = "fail",
        on_rejected: Literal["skip", "fail"] = "skip",
        replace_newer: bool | str = False,
        review_task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_package_arn = model_package_arn
        self.poll_seconds = poll_seconds
        self.timeout_seconds = timeout_seconds
        self.on_timeout = on_timeout
        self.on_rejected = on_rejected
        self.replace_newer = replace_newer
        self.review_task_id = review_task_id

    def execute(self, context: Context) -> ApprovalResult:
        """Look once on the worker, then from the triggerer, for days if it must be."""
        with self.closing_the_review(context):
            return self.look(context)

    def execute_complete(self, context: Context, event: PollEvent) -> ApprovalResult:
        """Look again: there is a decision or a newer version, or the deadline has passed."""
        return self.look(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Also a trigger that failed comes back here (Airflow's signature)."""
        with self.closing_the_review(context):
            return super().resume_execution(next_method, next_kwargs, context)

    def look(self, context: Context) -> ApprovalResult:
        """Act on the state of the version in the registry; defer while nobody has decided."""
        try:
            package = registry.describe_version(self.hook.api, self.model_package_arn)
        except ClientError as error:
            if registry.is_not_found(error):
                raise AirflowFailException(f"{self.model_package_arn} has been deleted: {error}") from error
            raise
        status = package["ModelApprovalStatus"]
        if status == REJECTED:
            self.rejected(self.recorded(package))
        if reason := self.why_it_ends(context, package):
            raise AirflowSkipException(f"{short_name(self.model_package_arn)} is {status}; {reason}")
        if status == APPROVED:
            return self.approved(self.recorded(package))
        deadline = package["CreationTime"].timestamp() + self.timeout_seconds
        if time.time() >= deadline:
            return self.deadline_passed(context)
        self.wait(package, deadline)

    def why_it_ends(self, context: Context, package: DescribedVersion) -> str | None:
        """The promotion rule for this run."""
        return registry.why_nobody_decides(
            self.hook.api,
            package,
            run_type=context["dag_run"].run_type,
            replace_newer=bool(self.replace_newer),
        )

    def wait(self, package: DescribedVersion, deadline: float) -> NoReturn:
        """Defer. Deadline and pauses count from the version's creation, so that a retry does not start anew."""
        self.log.info("Waiting for a decision on %s until %s", self.model_package_arn, time.ctime(deadline))
        self.defer(
            trigger=ApprovalTrigger(
                model_package_arn=self.model_package_arn,
                group=package["ModelPackageGroupName"],
                number=package["ModelPackageVersion"],
                period=registry.noted_period(package),
                replace_newer=bool(self.replace_newer),
                poll_seconds=self.poll_seconds,
                since=package["CreationTime"].timestamp(),
                deadline=deadline,
                hook_parameters=self._hook_parameters,
            ),
            method_name="execute_complete",
        )

    def recorded(self, package: DescribedVersion) -> ApprovalDecision:
        """Who decided, and why; what came from outside is written into the version's history if we may do that."""
        try:
            return registry.record_decision(self.hook.api, package)
        except ClientError as error:
            decision = decision_of(package)
            self.log.warning("%s cannot be written into the version's history: %s", decision, error)
            return decision

    def approved(self, decision: ApprovalDecision) -> ApprovalResult:
        """Go on."""
        self.log.info("%s", decision)
        return decision.to_dict()

    def rejected(self, decision: ApprovalDecision) -> NoReturn:
        """Fail or skip, as `on_rejected` demands."""
        raise (AirflowFailException if self.on_rejected == "fail" else AirflowSkipException)(str(decision))

    def deadline_passed(self, context: Context) -> ApprovalResult:
        """Fail, skip or reject, as `on_timeout` demands; a decision of the last second counts."""
        problem = f"no decision in {self.timeout_seconds / 3600:g} h"
        name = short_name(self.model_package_arn)
        if self.on_timeout == "fail":
            raise AirflowFailException(f"{name}: {problem}; it stays pending and is not deployed")
        if self.on_timeout == "expire":
            raise AirflowSkipException(f"{name}: {problem}; it stays pending, what follows is skipped")
        decision, _ = registry.decide_version(
            self.hook.api, self.model_package_arn, REJECTED, by=DEADLINE, channel=DEADLINE, reason=problem
        )
        if decision.status != APPROVED:
            self.rejected(decision)
        return self.approved(decision)

    @contextlib.contextmanager
    def closing_the_review(self, context: Context) -> Iterator[None]:
        """Close the review when this task has come to its end, however; not when it defers or will be tried again."""
        try:
            yield
        except Exception as error:
            last_try = context["ti"].try_number > context["ti"].max_tries
            if last_try or isinstance(error, (AirflowSkipException, AirflowFailException)):
                self.close_review(context)
            raise
        self.close_review(context)

    def close_review(self, context: Context) -> None:
        """Skip the task that asks under Required Actions, unless it has ended itself."""
        if self.review_task_id:
            close_task(context, self.review_task_id, self.log)
