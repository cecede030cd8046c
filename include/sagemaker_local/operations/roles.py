"""The roles that requests name: they must exist in IAM and let SageMaker assume them."""

from __future__ import annotations

import json

from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.service import Context

DEFAULT_ROLE = "sagemaker-retraining-local"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


def create_default_role(context: Context) -> None:
    """Create the role that a fresh local SageMaker has, unless it is there."""
    iam = context.client("iam")
    try:
        iam.create_role(RoleName=DEFAULT_ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))
    except iam.exceptions.EntityAlreadyExistsException:
        return


def require_role(context: Context, arn: str) -> None:
    """Raise ValidationException unless the role exists, under this very ARN, and trusts sagemaker.amazonaws.com."""
    if arn.split(":")[4] != context.settings.account:
        raise validation_error("RoleArn: Cross-account pass role is not allowed.")
    iam = context.client("iam")
    try:
        role = iam.get_role(RoleName=arn.rsplit("/", 1)[-1])["Role"]
    except iam.exceptions.NoSuchEntityException:
        role = None
    if (
        role is None
        or role["Arn"] != arn
        or "sagemaker.amazonaws.com" not in json.dumps(role["AssumeRolePolicyDocument"])
    ):
        raise validation_error(
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            f"'sagemaker.amazonaws.com' to assume the role."
        )
