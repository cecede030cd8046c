"""The plan task's work: decide the run once, freeze its code, and write every request down."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining import registry
from sagemaker_retraining.config import (
    ConfigError,
    load_environment,
    load_model,
    model_folder,
    project_root,
    s3_overlaps,
)
from sagemaker_retraining.config.load import REVISION_FILE
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.period import Period, resolve_period
from sagemaker_retraining.plan import Champion, PlanError, RunPlan, build_plan, package_code
from sagemaker_retraining.plan.document import CodeLocation, PlanDocument
from sagemaker_retraining.requests import build_requests

if TYPE_CHECKING:
    from airflow.sdk import Context

UNKNOWN = "unknown"


def create_plan(name: str, context: Context) -> PlanDocument:
    """The plan of this run, all requests complete; also at `plan_uri` in S3.

    What is wrong with the configuration, the month or the run fails here, before any job starts, and is not retried.
    """
    try:
        model, environment = load_model(name), load_environment()
        period = run_period(context)
        if overlaps := s3_overlaps(environment.environment, project_root()):
            raise ConfigError(overlaps)
    except (ConfigError, ValueError) as error:
        raise AirflowFailException(str(error)) from error
    hook = RetrainingHook(aws_conn_id=environment.aws_conn_id, region_name=environment.region)
    group = model.group.replace("{env}", environment.environment)
    try:
        plan = build_plan(
            model,
            environment,
            period,
            dag_id=context["dag"].dag_id,
            run_id=context["run_id"],
            git_sha=git_sha(),
            code=package_code(model_folder(name)),
            champion=find_champion(hook, group, period),
        )
    except PlanError as error:
        raise AirflowFailException(str(error)) from error
    requests = build_requests(plan)
    upload_code(hook, plan, requests["code"])
    body, key = json.dumps(requests, indent=2).encode(), environment.output_kms_key_arn
    hook.write_bytes(
        requests["plan_uri"], body, kms_key=key, tags=urlencode(plan.tags), content_type="application/json"
    )
    return requests


def run_period(context: Context) -> Period:
    """The run's month. A run by hand has no dates in its context, so each of them may be absent."""
    dag_run = context["dag_run"]
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    return resolve_period(
        param=context["params"].get("period"),
        partition_key=getattr(dag_run, "partition_key", None),
        data_interval=(start, end) if start and end else None,
        logical_date=dag_run.logical_date,
        run_after=dag_run.run_after,
    )


def find_champion(hook: RetrainingHook, group: str, period: Period) -> Champion | None:
    """The newest approved version that has not seen the run's month: a later one was trained on it.

    SageMaker would fail the evaluation job for an input that is not there, so a deleted artefact is noticed here.
    """
    for package in registry.versions(hook.api, group, "Approved"):
        trained_for = registry.noted_period(package)
        if trained_for is not None and trained_for <= str(period):
            artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
            found = artifact if hook.exists(artifact) else None
            return Champion(package["ModelPackageArn"], found, package["ModelPackageVersion"])
    return None


def upload_code(hook: RetrainingHook, plan: RunPlan, code: CodeLocation) -> None:
    """Put the code at its content address, once; the archive goes last: where it is, the rest is."""
    if hook.exists(code["archive_uri"]):
        return
    key = plan.environment.output_kms_key_arn
    for path, content in plan.code.files:
        hook.write_bytes(code["files_uri"] + path, content, kms_key=key)
    hook.write_bytes(code["archive_uri"], plan.code.archive(), kms_key=key)


def git_sha(environ: Mapping[str, str] = os.environ) -> str:
    """This project's commit: `GIT_SHA`, else what `make package` wrote down, else what git answers, else `unknown`."""
    if sha := environ.get("GIT_SHA"):
        return sha
    folder: Path = project_root()
    if (folder / REVISION_FILE).is_file():
        return (folder / REVISION_FILE).read_text().strip()
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return done.stdout.strip()
