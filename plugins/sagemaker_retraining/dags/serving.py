"""The DAGs that people start when production is to change without a training: rollback and promotion."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, chain

from sagemaker_retraining.config import EnvironmentConfig, ModelConfig, load_environment, load_model
from sagemaker_retraining.dags.deployment import Connection, deploy_and_verify
from sagemaker_retraining.dags.params import promotion_params, rollback_params
from sagemaker_retraining.dags.python_tasks import (
    promote_task,
    promotion_plan_task,
    promotion_record_task,
    rollback_plan_task,
    rollback_record_task,
)
from sagemaker_retraining.period import Period
from sagemaker_retraining.sensors.approval import ModelApprovalSensor


def rollback_dag(name: str) -> DAG:
    """`<model>_rollback`: plan → deploy → verify → record. Nothing changes before everything has been looked at.

    Verified like any deployment: when its answers differ, what served before is put back.
    """
    model, environment = load_model(name), load_environment()
    with _dag(f"{name}_rollback", model, environment, rollback_params()) as dag:
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
    with _dag(f"{name}_promotion", model, environment, promotion_params(environment.environment)) as dag:
        plan = promotion_plan_task(name)()
        arn = promote_task()(plan)
        target: Connection = {"aws_conn_id": plan["aws_conn_id"], "region_name": plan["region_name"]}
        approval = ModelApprovalSensor(
            task_id="approval",
            model_package_arn=arn,
            poll_seconds=environment.poll_seconds.approval,
            timeout_seconds=model.approval.timeout_hours * 3600,
            on_timeout=model.approval.on_timeout,
            on_rejected=model.approval.on_rejected,
            replace_newer=True,  # a person chose the version by its number
            **target,
        )
        deploy, verify, cleanup = deploy_and_verify(
            environment,
            plan,
            model_package_arn=arn,
            sample_uri=plan["sample_uri"],
            replace_newer=True,
            connection=target,
        )
        chain(plan, arn, approval, deploy, verify, promotion_record_task()(plan, arn))
        verify >> cleanup
    return dag


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
