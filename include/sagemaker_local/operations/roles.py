"""The roles that requests name: they must exist in IAM and let SageMaker assume them."""

from __future__ import annotations

import json
from contextlib import suppress

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error

DEFAULT_ROLE = "sagemaker-retraining-local"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


_PERMISSIONS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "sagemaker:*",
                "s3:*",
                "logs:*",
                "cloudwatch:*",
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:Describe*",
                "ecr:GetAuthorizationToken",
                "ecr:GetDownloadUrlForLayer",
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
                "ec2:Describe*",
                "iam:GetRole",
                "iam:ListRoles",
            ],
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
    ],
}
"""What AmazonSageMakerFullAccess and access to S3 allow a job, as far as programs ask for it."""


def create_default_role(context: Context) -> None:
    """Create the role that a fresh local SageMaker has, unless it is there, and its policy, unless it has any."""
    iam = context.client("iam")
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=DEFAULT_ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))
    role = {"RoleName": DEFAULT_ROLE}
    if (
        not iam.list_role_policies(**role)["PolicyNames"]
        and not iam.list_attached_role_policies(**role)["AttachedPolicies"]
    ):
        iam.put_role_policy(**role, PolicyName="sagemaker-and-s3", PolicyDocument=json.dumps(_PERMISSIONS))


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
