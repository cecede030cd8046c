"""What the rollback and promotion DAGs decide before they change anything, and what they leave in the registry."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.config import (
    ConfigError,
    EnvironmentConfig,
    ModelConfig,
    load_environment,
    load_model,
    model_folder,
)
from sagemaker_retraining.endpoints.preconditions import require_approved
from sagemaker_retraining.endpoints.service_history import number_of, record
from sagemaker_retraining.endpoints.state import (
    challenger_model,
    is_changing,
    pending_config,
    served_model,
    version_of,
)
from sagemaker_retraining.hooks import RetrainingHook, server_side_encryption
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import RunPlan, package_code
from sagemaker_retraining.requests import build_requests
from sagemaker_retraining.requests.approval import APPROVED, short_name
from sagemaker_retraining.requests.hosting import without_rollout
from sagemaker_retraining.requests.processing import SAMPLE
from sagemaker_retraining.requests.promotion import promoted_package
from sagemaker_retraining.requests.registry import group_request
from sagemaker_retraining.requests.service_history import PROMOTION, ROLLBACK, has_served, served_line
from sagemaker_retraining.requests.validation import RequestError, validate
from sagemaker_retraining.s3_uri import split_s3_uri
from sagemaker_retraining.tasks.plan import git_sha

Package = Mapping[str, Any]
log = logging.getLogger(__name__)
__all__ = ["hook_of", "plan_promotion", "plan_rollback", "promote", "record", "target_hook"]


def plan_rollback(name: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Which version is to serve instead of which, and the requests that do it; nothing is changed.

    An empty `version` is the newest approved one that is older than what serves: twice back is two steps back. Where a
    challenger stands beside what serves, it is what serves, which loses its challenger. All traffic moves at once and
    without alarms: production is ill already, and an alarm that is on would stop the cure.
    """
    model, environment = configuration(name, None)
    if model.deploy.kind == "batch":
        raise AirflowFailException(f"{name}: deploy.kind is batch, so no endpoint serves a version to go back from")
    hook = hook_of(environment)
    group, endpoint = (_named(text, environment) for text in (model.group, model.endpoint))
    description = hook.describe_or_none("describe_endpoint", EndpointName=endpoint)
    serving, newcomer, moving = look(hook, description)
    if chosen := context["params"]["version"]:
        package = find(hook, group, chosen)
    else:
        require_unchanged(description, context["dag_run"].run_after)
        package = registry.describe(hook.api, serving) if serving and newcomer else previous(hook, group, serving)
    arn = package["ModelPackageArn"]
    require_approved(hook, arn)
    replaced = newcomer or serving if arn == serving else serving
    if arn == serving and not newcomer and not moving:
        raise AirflowFailException(f"{endpoint} serves {short_name(arn)} already; nothing was changed")
    requests = build_requests(run_plan(model, environment, package, context))
    log.info("%s: from %s to %s", endpoint, replaced and short_name(replaced), short_name(arn))
    return {
        "model_package_arn": arn,
        "replaced_arn": replaced,
        "sample_uri": sample_uri(hook, package),
        "deploy": without_rollout(requests["deploy"]),
        "verify": requests["verify"],
        "cleanup": requests["cleanup"],
        "note": note(context, ROLLBACK, before=replaced, after=arn),
    }


def look(hook: RetrainingHook, description: Mapping[str, Any] | None) -> tuple[str | None, str | None, bool]:
    """The version that serves, one that stands beside it or is on its way to replace it, and whether an update runs."""
    if description is None:
        return None, None, False
    config = description["EndpointConfigName"]
    moving = is_changing(description)
    coming = pending_config(description) if moving else None
    model = served_model(hook, coming) if coming else challenger_model(hook, config)
    return version_of(hook, served_model(hook, config)), version_of(hook, model), moving


def require_unchanged(description: Mapping[str, Any] | None, asked: datetime) -> None:
    """Raise AirflowFailException when the endpoint was changed after somebody asked for "the version before".

    Two people who press the button at once, and one who clears a run that has ended, mean one step back. Autoscaling
    that began since hides what else has happened: SageMaker tells one time for both.
    """
    if description is None:
        return
    status, changed = description["EndpointStatus"], description["LastModifiedTime"]
    if is_changing(description):
        happened = f"is {status}"
    elif changed > asked:
        happened = f"was changed at {changed.isoformat(timespec='seconds')}, after this run was asked for"
    else:
        return
    raise AirflowFailException(
        f"{description['EndpointName']} {happened}, so that an empty version may mean another one than you had in "
        f"mind; nothing was changed. Look what serves, and trigger the DAG again with the number of the version that "
        f"is to serve"
    )


def plan_promotion(name: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """What is copied, registered and deployed in the target environment; nothing is changed."""
    params = context["params"]
    if params["source"] == params["target"]:
        raise AirflowFailException(f"source and target are both {params['source']!r}: choose two environments")
    source_model, source = configuration(name, params["source"])
    model, target = configuration(name, params["target"])
    if model.deploy.kind == "batch":
        raise AirflowFailException(f"{name}: deploy.kind is batch in {params['target']}; promotion deploys an endpoint")
    group_there = _named(model.group, target)
    if (source.account, source.region, _named(source_model.group, source)) == (
        target.account,
        target.region,
        group_there,
    ):
        raise AirflowFailException(
            f"{params['source']} and {params['target']} share the model package group {group_there}, so that a version "
            f"approved for one would be approved for both: write register.group with {{env}}, or another one for "
            f"{params['target']} under `models:` of its environment file"
        )
    hook = hook_of(source)
    package = find(hook, _named(source_model.group, source), params["version"])
    require_approved(hook, package["ModelPackageArn"])
    plan = run_plan(model, target, package, context)
    line = note(context, PROMOTION, before=params["source"], after=params["target"])
    request, copies = promoted_package(plan, package, source_environment=source.environment, note=line)
    sample = sample_uri(hook, package)
    evaluation = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    copies[sample] = f"{copies[evaluation].rpartition('/')[0]}/{SAMPLE}"
    requests = build_requests(plan)
    group = group_request(plan)
    try:
        validate("CreateModelPackageGroup", group)
        validate("CreateModelPackage", request)
    except RequestError as error:
        raise AirflowFailException(str(error)) from error
    return {
        "source": source.environment,
        "source_arn": package["ModelPackageArn"],
        "aws_conn_id": target.aws_conn_id,
        "region_name": target.region,
        "kms_key_arn": target.output_kms_key_arn,
        "group": group,
        "package": request,
        "copies": copies,
        "sample_uri": copies[sample],
        "deploy": requests["deploy"],
        "verify": requests["verify"],
        "cleanup": requests["cleanup"],
        "note": line,
    }


def promote(plan: Mapping[str, Any]) -> str:
    """Copy what the version needs and register it in the target, waiting for a person; its ARN. Twice is once."""
    source, target = hook_of(load_environment(plan["source"])), target_hook(plan)
    for place, copy in plan["copies"].items():
        copy_object(source, target, place, copy, kms_key=plan.get("kms_key_arn"))
    target.create_unless_there("create_model_package_group", plan["group"])
    arn: str = target.api.create_model_package(**plan["package"])["ModelPackageArn"]
    log.info("%s is %s now", short_name(plan["source_arn"]), arn)
    return arn


def copy_object(source: RetrainingHook, target: RetrainingHook, place: str, copy: str, *, kms_key: str | None) -> None:
    """From one account's bucket to another's, through this worker: neither role needs to see the other's bucket."""
    bucket, key = split_s3_uri(place)
    try:
        found = source.s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchBucket", "404"}:
            raise
        raise AirflowFailException(f"{place}: there is no such object; nothing was registered or deployed") from error
    target_bucket, target_key = split_s3_uri(copy)
    encryption = server_side_encryption(kms_key)
    target.s3.upload_fileobj(found["Body"], target_bucket, target_key, ExtraArgs=encryption)
    written = target.s3.head_object(Bucket=target_bucket, Key=target_key)["ContentLength"]
    if written != found["ContentLength"]:
        raise OSError(f"{copy} has {written} bytes, {place} {found['ContentLength']}")
    log.info("%s → %s, %d bytes", place, copy, written)


def note(context: Mapping[str, Any], door: str, *, before: str | None, after: str) -> str:
    """The line of the registry: who and why, from the form."""
    short = [text and number_of(text) for text in (before, after)]
    by = getattr(context["dag_run"], "triggering_user_name", None) or "airflow"
    return served_line(
        before=short[0],
        after=str(short[1]),
        by=by,
        door=door,
        reason=context["params"]["reason"],
        at=datetime.now(UTC),
    )


def find(hook: RetrainingHook, group: str, number: int) -> Package:
    """A version of the group by its number."""
    try:
        return registry.find_version(hook.api, group, number)
    except ValueError as error:
        raise AirflowFailException(f"{error}; production stays as it is") from error


def previous(hook: RetrainingHook, group: str, serving: str | None) -> Package:
    """The newest approved version that has served and is older than the one that does; without one, the newest.

    One that was approved and never served (superseded, kept for the record, refused by its roll-out or by verify) is
    nothing to go back to.
    """
    limit = int(number_of(serving)) if serving else None
    never = []
    for package in registry.versions(hook.api, group, APPROVED):
        if limit is not None and package["ModelPackageVersion"] >= limit:
            continue
        if has_served(package):
            return package
        never.append(str(package["ModelPackageVersion"]))
    than = f" older than version {limit}, which serves" if limit else ""
    if not never:
        raise AirflowFailException(f"{group} has no approved version{than}; production stays as it is")
    raise AirflowFailException(
        f"{group} has no approved version{than} and is known to have served; production stays as it is. Approved, but "
        f"not known to have served: {', '.join(never)}. Trigger the DAG again with the number of one if you want it"
    )


def sample_uri(hook: RetrainingHook, package: Package) -> str:
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


def run_plan(
    model: ModelConfig, environment: EnvironmentConfig, package: Package, context: Mapping[str, Any]
) -> RunPlan:
    """The plan of this run, about the month of the version, also when no run may be about it any more."""
    return RunPlan(
        model,
        environment,
        Period.parse(registry.period_of(package) or model.first_period),
        dag_id=context["dag"].dag_id,
        run_id=context["run_id"],
        git_sha=git_sha(),
        code=package_code(model_folder(model.model)),
    )


def configuration(name: str, environment: str | None) -> tuple[ModelConfig, EnvironmentConfig]:
    """The model in an environment, by default the worker's."""
    try:
        return load_model(name, environment=environment), load_environment(environment)
    except ConfigError as error:
        raise AirflowFailException(str(error)) from error


def hook_of(environment: EnvironmentConfig) -> RetrainingHook:
    """With the environment's connection."""
    return RetrainingHook(aws_conn_id=environment.aws_conn_id, region_name=environment.region)


def target_hook(plan: Mapping[str, Any]) -> RetrainingHook:
    """With the connection of the environment that a version is promoted to."""
    return RetrainingHook(aws_conn_id=plan["aws_conn_id"], region_name=plan["region_name"])


def _named(template: str, environment: EnvironmentConfig) -> str:
    return template.replace("{env}", environment.environment)
