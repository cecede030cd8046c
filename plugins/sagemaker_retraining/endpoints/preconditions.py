"""The last look before production."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.endpoints.state import all_models, version_of
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.promotion_rule import Version, superseding
from sagemaker_retraining.requests.approval import APPROVED, REJECTED, decision_of, short_name


def require_approved(hook: RetrainingHook, arn: str) -> dict[str, Any]:
    """The described version. Raises AirflowFailException for one that is not there, or not Approved now."""
    try:
        package = registry.describe(hook.api, arn)
    except ClientError as error:
        if not registry.is_not_found(error):
            raise
        raise AirflowFailException(
            f"there is no version {short_name(arn)} in the registry; production stays as it is"
        ) from error
    decision = decision_of(package)
    if decision.status != APPROVED:
        raise AirflowFailException(
            f"{decision}; only an Approved version goes to production, which stays as it is. Approve it, or choose "
            f"another"
        )
    return package


def require_newest(
    hook: RetrainingHook, package: Mapping[str, Any], description: Mapping[str, Any], *, replace_newer: bool
) -> None:
    """Raise AirflowFailException when the described endpoint has a version that takes the place of this one.

    By the rule of `succession`, which approval asked of the registry: what went live since then, while this version
    waited, was retried or cleared, is not replaced by an older one. Shadows and challengers count.
    """
    version = registry.version_of(package)
    for variant, other in served_packages(hook, description["EndpointConfigName"]):
        found = registry.version_of(other)
        if other["ModelPackageGroupName"] != package["ModelPackageGroupName"]:
            found = Version(version.number, found.period)  # numbers of two groups say nothing about each other
        if superseding(version, [found], replace_newer=replace_newer):
            raise AirflowFailException(
                f"{short_name(package['ModelPackageArn'])} of {version.period} is not deployed: "
                f"{short_name(other['ModelPackageArn'])} of {found.period} is newer and serves as {variant} of "
                f"{description['EndpointName']}, which stays as it is. To serve version {version.number} all the same, "
                f"trigger the model's rollback DAG with its number"
            )


def served_packages(hook: RetrainingHook, config_name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(variant, described version) of an endpoint config; without what was deleted, and rejected since."""
    for variant, model in all_models(hook, config_name).items():
        arn = version_of(hook, model)
        package = hook.describe_or_none("describe_model_package", ModelPackageName=arn) if arn else None
        if package and package["ModelApprovalStatus"] != REJECTED:
            yield variant, package
