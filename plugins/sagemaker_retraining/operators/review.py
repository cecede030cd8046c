"""The question under Airflow's *Required Actions*: approve or reject the version, with the numbers beside it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.links import ReportLink, VersionLink, report_address, version_address
from sagemaker_retraining.requests.approval import (
    AIRFLOW,
    APPROVED,
    LONGEST_REASON,
    PENDING,
    REJECTED,
    ApprovalResult,
    decision_of,
    short_name,
)
from sagemaker_retraining.requests.processing import REPORT
from sagemaker_retraining.review_body import review_body

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sagemaker_retraining.gate.document import GateResult
    from sagemaker_retraining.outcomes import ProcessingResult

REASON = "reason"
APPROVE, REJECT = "Approve", "Reject"


class ReviewOperator(HITLOperator):
    """Asks a person, waits in state `awaiting_input`, and writes the answer into the Model Registry in their name.

    It stands beside the ModelApprovalSensor, which alone decides how the run goes on, and which skips this task when
    another approval channel was first. It is skipped too when there is nothing to decide: the version is not pending,
    or is kept for the record. The deadline is that of the approval, `timeout_seconds` after the version's creation.
    `aws_conn_id` reads; `approver_conn_id` decides.
    """

    template_fields = ("subject", "body", "model_package_arn", "gate", "evaluation", "replace_newer")
    operator_extra_links = (ReportLink(), VersionLink())

    def __init__(
        self,
        *,
        model_package_arn: str,
        gate: GateResult,
        evaluation: ProcessingResult,
        timeout_seconds: float,
        aws_conn_id: str,
        approver_conn_id: str | None = None,
        region_name: str | None = None,
        replace_newer: bool | str = False,
        **kwargs: Any,
    ) -> None:
        reason = Param(
            None,
            type=["null", "string"],
            maxLength=LONGEST_REASON,
            title="Reason",
            description="Kept in the Model Registry with your name. A rejection needs one.",
            source="task",
        )
        kwargs.pop("params", None)  # the DAG's, which Airflow hands to every operator and the form does not show
        # Subject and body are written when the numbers are known.
        super().__init__(subject="Approve the version?", options=[APPROVE, REJECT], params={REASON: reason}, **kwargs)
        self.model_package_arn = model_package_arn
        self.gate = gate
        self.evaluation = evaluation
        self.timeout_seconds = timeout_seconds
        self.aws_conn_id = aws_conn_id
        self.approver_conn_id = approver_conn_id
        self.region_name = region_name
        self.replace_newer = replace_newer

    def execute(self, context: Context) -> Any:
        """Ask, when there is something to decide."""
        hook = RetrainingHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name)
        package = registry.describe_version(hook.api, self.model_package_arn)
        if package["ModelApprovalStatus"] != PENDING:
            raise AirflowSkipException(f"Nothing to decide: {decision_of(package)}")
        if reason := registry.why_nobody_decides(
            hook.api, package, run_type=context["dag_run"].run_type, replace_newer=bool(self.replace_newer)
        ):
            raise AirflowSkipException(f"Nothing to decide: {reason}")
        remaining = package["CreationTime"].timestamp() + self.timeout_seconds - time.time()
        if remaining <= 0:
            raise AirflowSkipException("Nothing to decide: the deadline has passed")
        self.response_timeout = timedelta(seconds=remaining)
        report = report_address(hook, f"{self.evaluation['outputs']['report']}{REPORT}")
        version = version_address(hook, self.model_package_arn)
        for link, address in ((ReportLink(), report), (VersionLink(), version)):
            context["ti"].xcom_push(key=link.xcom_key, value=address)
        self.subject = f"Approve {short_name(self.model_package_arn)}, {registry.noted_period(package)}?"
        self.body = review_body(package, self.gate, report=report, version=version)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Write the answer down; a rejection without a reason is asked again. The event is Airflow's own."""
        answer = super().execute_complete(context, event)
        approve = answer["chosen_options"] == [APPROVE]
        reason = str(answer["params_input"].get(REASON) or "").strip()
        user = answer["responded_by_user"] or {}
        if not approve and not reason:
            self.log.warning("Rejected without a reason by %s: asking again", user.get("name"))
            return self.execute(context)
        return self.decide(APPROVED if approve else REJECTED, str(user.get("name") or user.get("id")), reason)

    def decide(self, status: str, by: str, reason: str) -> ApprovalResult:
        """Through the connection that may. Raises AirflowSkipException when somebody else was first."""
        connection = self.approver_conn_id or self.aws_conn_id
        hook = RetrainingHook(aws_conn_id=connection, region_name=self.region_name)
        try:
            decision, mine = registry.decide_version(
                hook.api, self.model_package_arn, status, by=by, channel=AIRFLOW, reason=reason
            )
        except ClientError as error:
            raise AirflowException(
                f"{status} by {by} is not in the registry (connection {connection!r}): {error}. The action opens again"
            ) from error
        if not mine:
            raise AirflowSkipException(f"Somebody else was first: {decision}. {status} by {by} changes nothing")
        self.log.info("%s", decision)
        return decision.to_dict()

    def process_trigger_event_error(self, event: dict[str, Any]) -> NoReturn:
        """No answer in time: what follows from that is the approval task's business (Airflow's signature)."""
        if event["error_type"] == "timeout":
            raise AirflowSkipException("Nobody has answered before the deadline")
        super().process_trigger_event_error(event)
        raise AssertionError("the base class raises")
