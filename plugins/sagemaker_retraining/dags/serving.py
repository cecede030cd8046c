"""The DAGs that people start when production is to change without a training: rollback and promotion."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, chain, task

from sagemaker_retraining.config import EnvironmentConfig, ModelConfig, environment_names, load_environment, load_model
from sagemaker_retraining.dags.serve import deploy_and_verify
from sagemaker_retraining.period import Period
from sagemaker_retraining.sensors.approval import ModelApprovalSensor

REASON = Param(
    type="string",
    minLength=3,
    maxLength=150,
    pattern=r"\S\s*\S\s*\S",  # blanks are no reason
    title="Reason",
    description="Kept in the Model Registry with your name.",
)


def rollback_dag(name: str) -> DAG:
    """`<model>_rollback`: plan → deploy → verify → record. Nothing changes before everything has been looked at.

    Verified like any deployment: when its answers differ, what served before is put back.
    """
    model, environment = load_model(name), load_environment()
    version = Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Version",
        description="Number of an approved version. Empty: the newest approved one before the version that serves, or, "
        "where a challenger stands beside that, the version that serves, without the challenger.",
    )
    with _dag(f"{name}_rollback", model, environment, {"version": version, "reason": REASON}) as dag:
        plan = rollback_plan_task(name)()
        arn = plan["model_package_arn"]
        deploy, verify, cleanup = deploy_and_verify(
            environment, plan, model_package_arn=arn, sample_uri=plan["sample_uri"], going_back=True
        )
        chain(plan, deploy, verify, rollback_record_task()(plan))
        verify >> cleanup
    return dag


def promotion_dag(name: str) -> DAG:
    """`<model>_promotion`: plan → promote → approval → deploy → verify → record.

    An approved version of one environment is copied to another account, through its connection, and waits there for a
    person of that account: whoever starts the DAG asks, whoever owns production decides.
    """
    model, environment = load_model(name), load_environment()
    names = environment_names()
    params = {
        "version": Param(type="integer", minimum=1, title="Version", description="Number of an approved version."),
        "source": Param(
            environment.environment, type="string", enum=names, title="From", description="Environment it comes from."
        ),
        "target": Param(type="string", enum=names, title="To", description="Environment it goes to."),
        "reason": REASON,
    }
    with _dag(f"{name}_promotion", model, environment, params) as dag:
        plan = promotion_plan_task(name)()
        arn = promote_task()(plan)
        where = {"aws_conn_id": plan["aws_conn_id"], "region_name": plan["region_name"]}
        approval = ModelApprovalSensor(
            task_id="approval",
            model_package_arn=arn,
            poll_seconds=environment.poll_seconds.approval,
            timeout_seconds=model.approval.timeout_hours * 3600,
            on_timeout=model.approval.on_timeout,
            on_rejected=model.approval.on_rejected,
            replace_newer=True,  # a person chose the version by its number
            **where,
        )
        deploy, verify, cleanup = deploy_and_verify(
            environment, plan, model_package_arn=arn, sample_uri=plan["sample_uri"], replace_newer=True, **where
        )
        chain(plan, arn, approval, deploy, verify, promotion_record_task()(plan, arn))
        verify >> cleanup
    return dag


def rollback_plan_task(name: str) -> Any:
    """Decides on the version, and looks at everything that can be wrong with it."""

    @task(task_id="plan", multiple_outputs=True)
    def plan(**context: Any) -> dict[str, Any]:
        from sagemaker_retraining.tasks.rollback import plan_rollback

        return plan_rollback(name, context)

    return plan


def rollback_record_task() -> Any:
    """Who and why, in both versions."""

    @task(task_id="record")
    def record(plan: dict[str, Any]) -> str:
        from sagemaker_retraining.tasks import rollback

        rollback.record(
            rollback.hook_of(load_environment()), [plan["model_package_arn"], plan["replaced_arn"]], plan["note"]
        )
        return str(plan["note"])

    return record


def promotion_plan_task(name: str) -> Any:
    """Decides what is copied, registered and deployed."""

    @task(task_id="plan", multiple_outputs=True)
    def plan(**context: Any) -> dict[str, Any]:
        from sagemaker_retraining.tasks.rollback import plan_promotion

        return plan_promotion(name, context)

    return plan


def promote_task() -> Any:
    """Copies the version; the ARN in the target."""

    @task(task_id="promote")
    def promote(plan: dict[str, Any]) -> str:
        from sagemaker_retraining.tasks import rollback

        return rollback.promote(plan)

    return promote


def promotion_record_task() -> Any:
    """Who and why, in the version of either account."""

    @task(task_id="record")
    def record(plan: dict[str, Any], arn: str) -> str:
        from sagemaker_retraining.tasks import rollback

        rollback.record(rollback.hook_of(load_environment(plan["source"])), [plan["source_arn"]], plan["note"])
        rollback.record(rollback.target_hook(plan), [arn], plan["note"])
        return str(plan["note"])

    return record


def _dag(dag_id: str, model: ModelConfig, environment: EnvironmentConfig, params: dict[str, Param]) -> DAG:
    """Started by people, one at a time."""
    return DAG(
        dag_id=dag_id,
        description=model.description,
        schedule=None,
        start_date=Period.parse(model.first_period).first_day(),
        catchup=False,
        max_active_runs=1,
        render_template_as_native_obj=True,
        default_args={"owner": model.owner, "retries": 2, "retry_delay": timedelta(seconds=30)},
        tags=["serving", model.model, environment.environment],
        params=params,
    )
