"""Notes in the registry about when and why a version served."""

from __future__ import annotations

from datetime import UTC, datetime

from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.endpoints.state import served_model, version_arn
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.approval import short_name
from sagemaker_retraining.requests.service_history import DEPLOY, has_served, is_noted, served_line, served_request
from sagemaker_retraining.xcom import DeployResult


def note_service(hook: RetrainingHook, arns: list[str | None], line: str) -> None:
    """Note a change of what serves in each of these versions, once."""
    for arn in filter(None, arns):
        registry.update_version(
            hook.api,
            registry.describe_version(hook.api, arn),
            lambda package: None if is_noted(package, line) else served_request(package, line),
        )
    hook.log.info("%s", line)


def note_verified(hook: RetrainingHook, deployment: DeployResult) -> None:
    """Note in a version that it has been deployed and has answered as it should: what a rollback may go back to.

    A version that is known to have served is left as it is. Without the permission to note it, production is
    not affected; only a rollback without a number does not find the version.
    """
    arn = version_arn(hook, deployment["model"])
    if arn is None:
        return
    previous = deployment["previous_endpoint_config"]
    before = version_arn(hook, served_model(hook, previous)) if previous else None
    try:
        if has_served(registry.describe_version(hook.api, arn)):
            return
        line = served_line(
            before=number_of(before) if before and before != arn else None,
            after=number_of(arn),
            by="airflow",
            channel=DEPLOY,
            reason=f"verified at {deployment['endpoint']} as {deployment['variant']}",
            at=datetime.now(UTC),
        )
        note_service(hook, [arn], line)
    except ClientError as error:
        hook.log.warning("That %s serves cannot be noted in it: %s", short_name(arn), error)


def number_of(arn: str) -> str:
    """Of a version, from its ARN."""
    return arn.rpartition("/")[2]
