"""The retraining DAG of one model: wiring only, from its YAML."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, Param, TaskGroup, chain, task

from sagemaker_retraining.config import EnvironmentConfig, ModelConfig, load_environment, load_model
from sagemaker_retraining.config.model import Retry
from sagemaker_retraining.dags.retries import retry_arguments
from sagemaker_retraining.dags.serve import deploy_and_verify, output
from sagemaker_retraining.gate.types import GateResult, QualityGateConfig
from sagemaker_retraining.operators.jobs import ResumableProcessingOperator, ResumableTrainingOperator
from sagemaker_retraining.operators.register import RegisterModelOperator
from sagemaker_retraining.operators.review import ReviewOperator
from sagemaker_retraining.operators.transform import ResumableTransformOperator
from sagemaker_retraining.outcomes import ProcessingResult
from sagemaker_retraining.period import PERIOD_PATTERN, Period
from sagemaker_retraining.requests.processing import SAMPLE
from sagemaker_retraining.sensors.approval import ModelApprovalSensor
from sagemaker_retraining.sensors.raw_data import RawDataSensor

# The 1st at 06:00 UTC, for the month that just ended: the interval starts on the 1st of that month.
SCHEDULE = "0 6 1 * *"


def retraining_dag(name: str) -> DAG:
    """`<model>_retraining`: plan → data_ready → preprocess → train → evaluate → quality_gate → register → approval →
    deploy → verify (→ cleanup), and `review` beside approval; with `deploy.kind: batch` transform after approval.

    Every task takes its complete request from the plan task's XCom, so that the rendered template in the UI is what
    was sent. Raises ConfigError for a wrong YAML file: Airflow shows it as the import error of this one DAG.
    """
    model, environment = load_model(name), load_environment()
    poll, spot = environment.poll_seconds, model.train.spot
    hook: dict[str, Any] = {"aws_conn_id": environment.aws_conn_id, "region_name": environment.region}

    with DAG(
        dag_id=f"{name}_retraining",
        description=model.description,
        doc_md=documentation(model),
        schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
        # The first interval is that of `first_period`: its run is due on the 1st of the month after.
        start_date=Period.parse(model.first_period).first_day(),
        catchup=False,
        render_template_as_native_obj=True,
        default_args={"owner": model.owner, "retries": 2, "retry_delay": timedelta(seconds=30)},
        tags=["retraining", name, environment.environment],
        params={
            "period": Param(
                None,
                type=["null", "string"],
                pattern=f"^{PERIOD_PATTERN}$",
                title="Period",
                description="Month whose data the run is about, as YYYY-MM. Empty: the month of the run's data "
                "interval, or the last complete month for a run started by hand.",
            ),
            "replace_newer": Param(
                False,
                type="boolean",
                title="Replace a newer model",
                description="Let this run go on to approval and production although a version of a later month is "
                "approved already, or although it is part of a backfill. Without it such a run registers its version "
                "for the record and ends.",
            ),
        },
    ) as dag:
        plan = plan_task(name)()

        with TaskGroup("build", prefix_group_id=False, tooltip="From raw data to a measured model"):
            data_ready = RawDataSensor(
                task_id="data_ready",
                config=plan["data_ready"],
                poll_seconds=poll.job,
                timeout_seconds=model.data.timeout_hours * 3600 if environment.wait_for_data else 0,
                **hook,
            )
            preprocess = ResumableProcessingOperator(
                task_id="preprocess",
                config=plan["preprocess"],
                s3_uris={"raw": result_of(data_ready, "manifest_uri")},
                poll_seconds=poll.job,
                deferrable=True,
                **retry_arguments(model.preprocess.retry),
                **hook,
            )
            train = ResumableTrainingOperator(
                task_id="train",
                config=plan["train"],
                poll_seconds=poll.job,
                deferrable=True,
                multiple_outputs=True,
                s3_uris={name: job_output(preprocess, name) for name in ("train", "validation")},
                on_demand_after=None if spot.on_demand_after == "never" else spot.on_demand_after,
                on_demand_after_hours=spot.on_demand_after_hours,
                **retry_arguments(model.train.retry),
                **hook,
            )
            evaluate = ResumableProcessingOperator(
                task_id="evaluate",
                config=plan["evaluate"],
                s3_uris={"model": output(train)["model_artifact"], "test": job_output(preprocess, "test")},
                poll_seconds=poll.job,
                deferrable=True,
                **retry_arguments(model.evaluate.retry),
                **hook,
            )

        with TaskGroup("release", prefix_group_id=False, tooltip="From a measured model to a person's yes"):
            gate = gate_task(hook)(plan["quality_gate"], output(evaluate))
            register = RegisterModelOperator(
                task_id="register",
                config=plan["register"],
                training=output(train),
                gate=gate,
                raw_data=output(data_ready),
                evaluation=output(evaluate),
                preprocess=output(preprocess),
                multiple_outputs=True,
                **hook,
            )
            approval = ModelApprovalSensor(
                task_id="approval",
                model_package_arn=output(register)["model_package_arn"],
                poll_seconds=poll.approval,
                timeout_seconds=model.approval.timeout_hours * 3600,
                on_timeout=model.approval.on_timeout,
                on_rejected=model.approval.on_rejected,
                replace_newer="{{ params.replace_newer }}",
                review_task_id="review",
                **hook,
            )
            review = ReviewOperator(
                task_id="review",
                model_package_arn=output(register)["model_package_arn"],
                gate=gate,
                evaluation=output(evaluate),
                timeout_seconds=model.approval.timeout_hours * 3600,
                approver_conn_id=environment.approver_conn_id,
                replace_newer="{{ params.replace_newer }}",
                **hook,
            )

        with TaskGroup("serve", prefix_group_id=False, tooltip="From a yes to production"):
            arn = output(register)["model_package_arn"]
            if model.deploy.kind == "batch":
                served = [transform_task(environment, plan, arn)]
            else:
                sample = f"{job_output(evaluate, 'evaluation')}{SAMPLE}"
                served = deploy_and_verify(
                    environment,
                    plan,
                    model_package_arn=arn,
                    sample_uri=sample,
                    replace_newer="{{ params.replace_newer }}",
                )

        chain(plan, data_ready, preprocess, train, evaluate, gate, register, approval, *served)
        register >> review  # asks; what follows depends on approval, which sees every door
    return dag


def transform_task(environment: EnvironmentConfig, plan: Any, arn: Any) -> BaseOperator:
    """The `transform` task, in place of an endpoint."""
    return ResumableTransformOperator(
        task_id="transform",
        config=plan["transform"],
        model_package_arn=arn,
        poll_seconds=environment.poll_seconds.job,
        deferrable=True,
        **retry_arguments(Retry()),
        aws_conn_id=environment.aws_conn_id,
        region_name=environment.region,
    )


def job_output(operator: BaseOperator, name: str) -> str:
    """The S3 URI of one output of an earlier processing job."""
    return result_of(operator, "outputs", name)


def result_of(operator: BaseOperator, *keys: str) -> str:
    """A member of an earlier task's result; an XComArg reaches only the first level, and that of multiple_outputs."""
    members = "".join(f"[{key!r}]" for key in keys)
    return f"{{{{ ti.xcom_pull(task_ids={operator.task_id!r}){members} }}}}"


def plan_task(name: str) -> Any:
    """The `plan` task: decides the month, freezes code and configuration, and writes every request of the run."""

    @task(task_id="plan", multiple_outputs=True)
    def plan(**context: Any) -> dict[str, Any]:
        from sagemaker_retraining.tasks.plan import create_plan

        return create_plan(name, context)

    return plan


def gate_task(hook: dict[str, Any]) -> Any:
    """The `quality_gate` task: may this model be registered?"""

    @task(task_id="quality_gate")
    def quality_gate(config: QualityGateConfig, evaluated: ProcessingResult, **context: Any) -> GateResult:
        from sagemaker_retraining.hooks import RetrainingHook
        from sagemaker_retraining.tasks.quality_gate import run_gate

        def push(decision: GateResult) -> None:
            context["ti"].xcom_push(key="return_value", value=decision)

        return run_gate(RetrainingHook(**hook), config, evaluated, push)

    return quality_gate


def documentation(model: ModelConfig) -> str:
    """What the DAG's page in the UI says."""
    return f"""### {model.description}

Retrains `{model.model}` on the months before the run's month, evaluates on that month, registers the version as
PendingManualApproval and deploys it to `{model.endpoint}` when a person has approved it.

| to | do |
|---|---|
| run a certain month | *Trigger*, set **Period** |
| see what was sent to SageMaker | a task's *Rendered Templates*, or `plan.json` under the run's S3 prefix |
| go back, or to another version | the DAG `{model.model}_rollback` |
| approve or reject | the run's *Required Actions*, `python -m sagemaker_retraining approve …`, or SageMaker Studio |

Owner: {model.owner}, team {model.team}. Configuration: `include/models/{model.model}/model.yaml`.
"""
