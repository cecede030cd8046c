"""What rollback and promotion do alike with the version that a person chose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining import registry
from sagemaker_retraining.config import (
    ConfigError,
    EnvironmentConfig,
    ModelConfig,
    load_environment,
    load_model,
    model_folder,
)
from sagemaker_retraining.endpoints.service_history import number_of
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import RunPlan, package_code
from sagemaker_retraining.requests.approval import short_name
from sagemaker_retraining.requests.processing import SAMPLE
from sagemaker_retraining.requests.service_history import served_line
from sagemaker_retraining.tasks.plan import git_sha

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sagemaker_retraining.described import DescribedVersion


def load_configuration(name: str, environment: str | None) -> tuple[ModelConfig, EnvironmentConfig]:
    """The model in an environment, by default the worker's."""
    try:
        return load_model(name, environment=environment), load_environment(environment)
    except ConfigError as error:
        raise AirflowFailException(str(error)) from error


def require_version(hook: RetrainingHook, group: str, number: int) -> DescribedVersion:
    """The described version of this number. Raises AirflowFailException, which names the versions there are."""
    try:
        return registry.find_version(hook.api, group, number)
    except ValueError as error:
        raise AirflowFailException(f"{error}; production stays as it is") from error


def sample_uri(hook: RetrainingHook, package: DescribedVersion) -> str:
    """The holdout sample that evaluate left beside evaluation.json. Raises AirflowFailException without one."""
    statistics = package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    if "S3Uri" not in statistics:
        raise AirflowFailException(
            f"{short_name(package['ModelPackageArn'])} names no evaluation, so nothing can be verified; production "
            f"stays as it is"
        )
    uri = f"{statistics['S3Uri'].rpartition('/')[0]}/{SAMPLE}"
    if not hook.exists(uri):
        raise AirflowFailException(
            f"{uri}: there is no such object, so {short_name(package['ModelPackageArn'])} cannot be verified; "
            f"production stays as it is. Put the sample back, or choose another version"
        )
    return uri


def plan_for_version(
    model: ModelConfig, environment: EnvironmentConfig, package: DescribedVersion, context: Context
) -> RunPlan:
    """The plan of this run, about the month of the version, also when no run may be about it any more."""
    return RunPlan(
        model,
        environment,
        Period.parse(registry.noted_period(package) or model.first_period),
        dag_id=context["dag"].dag_id,
        run_id=context["run_id"],
        git_sha=git_sha(),
        code=package_code(model_folder(model.model)),
    )


def service_note(context: Context, channel: str, *, before: str | None, after: str) -> str:
    """The registry's line about a change of what serves: who and why, from the form."""
    short = [text and number_of(text) for text in (before, after)]
    by = getattr(context["dag_run"], "triggering_user_name", None) or "airflow"
    return served_line(
        before=short[0],
        after=str(short[1]),
        by=by,
        channel=channel,
        reason=context["params"]["reason"],
        at=datetime.now(UTC),
    )


def hook_of(environment: EnvironmentConfig) -> RetrainingHook:
    """With the environment's connection."""
    return RetrainingHook(aws_conn_id=environment.aws_conn_id, region_name=environment.region)


def named(template: str, environment: EnvironmentConfig) -> str:
    """A name of model.yaml in an environment."""
    return template.replace("{env}", environment.environment)
