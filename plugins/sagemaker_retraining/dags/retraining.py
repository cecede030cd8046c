"""The retraining DAG of one model: wiring only, from its YAML; one function per task group."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, TaskGroup, chain

from sagemaker_retraining.config import EnvironmentConfig, ModelConfig, load_environment, load_model
from sagemaker_retraining.config.model import Retry
from sagemaker_retraining.dags.deployment import connection_of, deploy_and_verify, output
from sagemaker_retraining.dags.documentation import retraining_documentation
from sagemaker_retraining.dags.params import retraining_params
from sagemaker_retraining.dags.python_tasks import gate_task, plan_task
from sagemaker_retraining.dags.retries import retry_arguments
from sagemaker_retraining.operators.jobs import ResumableProcessingOperator, ResumableTrainingOperator
from sagemaker_retraining.operators.register import RegisterModelOperator
from sagemaker_retraining.operators.review import ReviewOperator
from sagemaker_retraining.operators.transform import ResumableTransformOperator
from sagemaker_retraining.period import Period
from sagemaker_retraining.requests.processing import SAMPLE
from sagemaker_retraining.sensors.approval import ModelApprovalSensor
from sagemaker_retraining.sensors.raw_data import RawDataSensor

# The 1st at 06:00 UTC, for the month that just ended: the interval starts on the 1st of that month.
SCHEDULE = "0 6 1 * *"
REPLACE_NEWER = "{{ params.replace_newer }}"


@dataclass(frozen=True)
class Build:
    """The tasks from raw data to a measured model."""

    data_ready: RawDataSensor
    preprocess: ResumableProcessingOperator
    train: ResumableTrainingOperator
    evaluate: ResumableProcessingOperator


@dataclass(frozen=True)
class Release:
    """The tasks from a measured model to a person's yes; `gate` is the result of `quality_gate`."""

    gate: Any
    register: RegisterModelOperator
    approval: ModelApprovalSensor
    review: ReviewOperator


def retraining_dag(name: str) -> DAG:
    """`<model>_retraining`: plan → data_ready → preprocess → train → evaluate → quality_gate → register → approval →
    deploy → verify (→ cleanup), and `review` beside approval; with `deploy.kind: batch` transform after approval.

    Every task takes its complete request from the plan task's XCom, so that the rendered template in the UI is what
    was sent. Raises ConfigError for a wrong YAML file: Airflow shows it as the import error of this one DAG.
    """
    model, environment = load_model(name), load_environment()
    with DAG(
        dag_id=f"{name}_retraining",
        description=model.description,
        doc_md=retraining_documentation(model),
        schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
        # The first interval is that of `first_period`: its run is due on the 1st of the month after.
        start_date=Period.parse(model.first_period).first_day(),
        catchup=False,
        render_template_as_native_obj=True,
        default_args={"owner": model.owner, "retries": 2, "retry_delay": timedelta(seconds=30)},
        tags=["retraining", name, environment.environment],
        params=retraining_params(),
    ) as dag:
        plan = plan_task(name)()
        build = build_group(model, environment, plan)
        release = release_group(model, environment, plan, build)
        served = serve_group(model, environment, plan, build, release)
        chain(plan, build.data_ready, build.preprocess, build.train, build.evaluate)
        chain(build.evaluate, release.gate, release.register, release.approval, *served)
        release.register >> release.review  # asks; what follows depends on approval, which sees every channel
    return dag


def build_group(model: ModelConfig, environment: EnvironmentConfig, plan: Any) -> Build:
    """`build`: data_ready, preprocess, train and evaluate."""
    poll_seconds, spot, connection = environment.poll_seconds.job, model.train.spot, connection_of(environment)
    with TaskGroup("build", prefix_group_id=False, tooltip="From raw data to a measured model"):
        data_ready = RawDataSensor(
            task_id="data_ready",
            config=plan["data_ready"],
            poll_seconds=poll_seconds,
            timeout_seconds=model.data.timeout_hours * 3600 if environment.wait_for_data else 0,
            **connection,
        )
        preprocess = ResumableProcessingOperator(
            task_id="preprocess",
            config=plan["preprocess"],
            s3_uris={"raw": result_of(data_ready, "manifest_uri")},
            poll_seconds=poll_seconds,
            deferrable=True,
            **retry_arguments(model.preprocess.retry),
            **connection,
        )
        train = ResumableTrainingOperator(
            task_id="train",
            config=plan["train"],
            poll_seconds=poll_seconds,
            deferrable=True,
            multiple_outputs=True,
            s3_uris={name: job_output(preprocess, name) for name in ("train", "validation")},
            on_demand_after=None if spot.on_demand_after == "never" else spot.on_demand_after,
            on_demand_after_hours=spot.on_demand_after_hours,
            **retry_arguments(model.train.retry),
            **connection,
        )
        evaluate = ResumableProcessingOperator(
            task_id="evaluate",
            config=plan["evaluate"],
            s3_uris={"model": output(train)["model_artifact"], "test": job_output(preprocess, "test")},
            poll_seconds=poll_seconds,
            deferrable=True,
            **retry_arguments(model.evaluate.retry),
            **connection,
        )
    return Build(data_ready, preprocess, train, evaluate)


def release_group(model: ModelConfig, environment: EnvironmentConfig, plan: Any, build: Build) -> Release:
    """`release`: quality_gate, register, approval and review."""
    connection = connection_of(environment)
    with TaskGroup("release", prefix_group_id=False, tooltip="From a measured model to a person's yes"):
        gate = gate_task(connection)(plan["quality_gate"], output(build.evaluate))
        register = RegisterModelOperator(
            task_id="register",
            config=plan["register"],
            training=output(build.train),
            gate=gate,
            raw_data=output(build.data_ready),
            evaluation=output(build.evaluate),
            preprocess=output(build.preprocess),
            multiple_outputs=True,
            **connection,
        )
        approval = ModelApprovalSensor(
            task_id="approval",
            model_package_arn=output(register)["model_package_arn"],
            poll_seconds=environment.poll_seconds.approval,
            timeout_seconds=model.approval.timeout_hours * 3600,
            on_timeout=model.approval.on_timeout,
            on_rejected=model.approval.on_rejected,
            replace_newer=REPLACE_NEWER,
            review_task_id="review",
            **connection,
        )
        review = ReviewOperator(
            task_id="review",
            model_package_arn=output(register)["model_package_arn"],
            gate=gate,
            evaluation=output(build.evaluate),
            timeout_seconds=model.approval.timeout_hours * 3600,
            approver_conn_id=environment.approver_conn_id,
            replace_newer=REPLACE_NEWER,
            **connection,
        )
    return Release(gate, register, approval, review)


def serve_group(
    model: ModelConfig, environment: EnvironmentConfig, plan: Any, build: Build, release: Release
) -> list[BaseOperator]:
    """`serve`: deploy, verify and cleanup, or with `deploy.kind: batch` transform; to be chained."""
    with TaskGroup("serve", prefix_group_id=False, tooltip="From a yes to production"):
        arn = output(release.register)["model_package_arn"]
        if model.deploy.kind == "batch":
            return [transform_task(environment, plan, arn)]
        return deploy_and_verify(
            environment,
            plan,
            model_package_arn=arn,
            sample_uri=f"{job_output(build.evaluate, 'evaluation')}{SAMPLE}",
            replace_newer=REPLACE_NEWER,
        )


def transform_task(environment: EnvironmentConfig, plan: Any, arn: Any) -> BaseOperator:
    """The `transform` task, in place of an endpoint."""
    return ResumableTransformOperator(
        task_id="transform",
        config=plan["transform"],
        model_package_arn=arn,
        poll_seconds=environment.poll_seconds.job,
        deferrable=True,
        **retry_arguments(Retry()),
        **connection_of(environment),
    )


def job_output(operator: BaseOperator, name: str) -> str:
    """The S3 URI of one output of an earlier processing job."""
    return result_of(operator, "outputs", name)


def result_of(operator: BaseOperator, *keys: str) -> str:
    """A member of an earlier task's result; an XComArg reaches only the first level, and that of multiple_outputs."""
    members = "".join(f"[{key!r}]" for key in keys)
    return f"{{{{ ti.xcom_pull(task_ids={operator.task_id!r}){members} }}}}"
