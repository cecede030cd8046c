"""The last look before production."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.decision import APPROVED, decision_of, short_name


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
