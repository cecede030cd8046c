"""The rollback DAG's decision: which version is to serve instead of which."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining import registry
from sagemaker_retraining.config import load_environment
from sagemaker_retraining.endpoints.preconditions import require_approved
from sagemaker_retraining.endpoints.service_history import note_service, number_of
from sagemaker_retraining.endpoints.state import (
    challenger_model,
    is_changing,
    pending_config,
    served_model,
    version_arn,
)
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests import build_requests
from sagemaker_retraining.requests.approval import short_name
from sagemaker_retraining.requests.hosting import without_rollout
from sagemaker_retraining.requests.service_history import ROLLBACK, has_served
from sagemaker_retraining.tasks import chosen_version
from sagemaker_retraining.xcom import RollbackPlan

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef, DescribeModelPackageOutputTypeDef

log = logging.getLogger(__name__)


def plan_rollback(name: str, context: Context) -> RollbackPlan:
    """Which version is to serve instead of which, and the requests that do it; nothing is changed.

    An empty `version` is the newest approved one that is older than what serves, so that a second rollback goes one
    version further back. Where a challenger stands beside what serves, it is what serves, which loses its challenger.
    All traffic moves at once and without alarms: production is ill already, and an alarm that is on would stop the
    cure.
    """
    model, environment = chosen_version.load_configuration(name, None)
    if model.deploy.kind == "batch":
        raise AirflowFailException(f"{name}: deploy.kind is batch, so no endpoint serves a version to go back from")
    hook = chosen_version.hook_of(environment)
    group, endpoint = (chosen_version.named(text, environment) for text in (model.group, model.endpoint))
    description = hook.endpoint_or_none(endpoint)
    serving, newcomer, moving = versions_in_service(hook, description)
    if chosen := context["params"]["version"]:
        package = chosen_version.require_version(hook, group, chosen)
    else:
        require_unchanged(description, context["dag_run"].run_after)
        package = (
            registry.describe_version(hook.api, serving)
            if serving and newcomer
            else version_before(hook, group, serving)
        )
    arn = package["ModelPackageArn"]
    require_approved(hook, arn)
    replaced = newcomer or serving if arn == serving else serving
    if arn == serving and not newcomer and not moving:
        raise AirflowFailException(f"{endpoint} serves {short_name(arn)} already; nothing was changed")
    requests = build_requests(chosen_version.plan_for_version(model, environment, package, context))
    log.info("%s: from %s to %s", endpoint, replaced and short_name(replaced), short_name(arn))
    return {
        "model_package_arn": arn,
        "replaced_arn": replaced,
        "sample_uri": chosen_version.sample_uri(hook, package),
        "deploy": without_rollout(requests["deploy"]),
        "verify": requests["verify"],
        "cleanup": requests["cleanup"],
        "note": chosen_version.service_note(context, ROLLBACK, before=replaced, after=arn),
    }


def versions_in_service(
    hook: RetrainingHook, description: DescribeEndpointOutputTypeDef | None
) -> tuple[str | None, str | None, bool]:
    """The version that serves, one that stands beside it or is on its way to replace it, and whether an update runs."""
    if description is None:
        return None, None, False
    config = description["EndpointConfigName"]
    moving = is_changing(description)
    coming = pending_config(description) if moving else None
    model = served_model(hook, coming) if coming else challenger_model(hook, config)
    return version_arn(hook, served_model(hook, config)), version_arn(hook, model), moving


def require_unchanged(description: DescribeEndpointOutputTypeDef | None, asked: datetime) -> None:
    """Raise AirflowFailException when the endpoint was changed after somebody asked for "the version before".

    Two people who trigger the DAG at once, and one who clears a run that has ended, mean one step back. Autoscaling
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


def version_before(hook: RetrainingHook, group: str, serving: str | None) -> DescribeModelPackageOutputTypeDef:
    """The newest approved version that has served and is older than the one that does; without one, the newest.

    A version that was approved and never served (superseded, kept for the record, refused by its roll-out or by verify)
    is not chosen.
    """
    limit = int(number_of(serving)) if serving else None
    never = []
    for package in registry.versions(hook.api, group, "Approved"):
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


def note_rollback(plan: RollbackPlan) -> None:
    """Note who went back, and why, in both versions."""
    note_service(
        chosen_version.hook_of(load_environment()), [plan["model_package_arn"], plan["replaced_arn"]], plan["note"]
    )
