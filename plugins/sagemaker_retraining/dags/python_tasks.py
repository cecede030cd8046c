"""The DAGs' tasks that are Python functions; what they do is in `tasks/`, which only the task itself imports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import task

from sagemaker_retraining.dags.deployment import Connection
from sagemaker_retraining.gate.document import GateResult, QualityGateConfig
from sagemaker_retraining.outcomes import ProcessingResult
from sagemaker_retraining.plan.document import PlanDocument
from sagemaker_retraining.xcom import PromotionPlan, RollbackPlan

if TYPE_CHECKING:
    from airflow.sdk import Context


def plan_task(name: str) -> Any:
    """The `plan` task: decides the month, freezes code and configuration, and writes every request of the run."""

    @task(task_id="plan", multiple_outputs=True)
    def plan(**context: Any) -> PlanDocument:
        from sagemaker_retraining.tasks.plan import create_plan

        return create_plan(name, cast("Context", context))

    return plan


def gate_task(connection: Connection) -> Any:
    """The `quality_gate` task: may this model be registered?"""

    @task(task_id="quality_gate")
    def quality_gate(config: QualityGateConfig, evaluated: ProcessingResult, **context: Any) -> GateResult:
        from sagemaker_retraining.hooks import RetrainingHook
        from sagemaker_retraining.tasks.quality_gate import run_gate

        def push(decision: GateResult) -> None:
            context["ti"].xcom_push(key="return_value", value=decision)

        return run_gate(RetrainingHook(**connection), config, evaluated, push)

    return quality_gate


def rollback_plan_task(name: str) -> Any:
    """Decides on the version, and checks everything that can be wrong with it."""

    @task(task_id="plan", multiple_outputs=True)
    def plan(**context: Any) -> RollbackPlan:
        from sagemaker_retraining.tasks.rollback import plan_rollback

        return plan_rollback(name, cast("Context", context))

    return plan


def rollback_record_task() -> Any:
    """Notes who went back and why, in both versions."""

    @task(task_id="record")
    def record(plan: RollbackPlan) -> str:
        from sagemaker_retraining.tasks.rollback import note_rollback

        note_rollback(plan)
        return plan["note"]

    return record


def promotion_plan_task(name: str) -> Any:
    """Decides what is copied, registered and deployed."""

    @task(task_id="plan", multiple_outputs=True)
    def plan(**context: Any) -> PromotionPlan:
        from sagemaker_retraining.tasks.promotion import plan_promotion

        return plan_promotion(name, cast("Context", context))

    return plan


def promote_task() -> Any:
    """Copies the version; the ARN in the target."""

    @task(task_id="promote")
    def promote(plan: PromotionPlan) -> str:
        from sagemaker_retraining.tasks.promotion import promote_version

        return promote_version(plan)

    return promote


def promotion_record_task() -> Any:
    """Notes who promoted the version and why, in the version of either account."""

    @task(task_id="record")
    def record(plan: PromotionPlan, arn: str) -> str:
        from sagemaker_retraining.tasks.promotion import note_promotion

        note_promotion(plan, arn)
        return plan["note"]

    return record
