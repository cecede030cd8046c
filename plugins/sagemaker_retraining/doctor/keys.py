"""KMS keys: whether they are enabled and of the right kind, and their policies let the account's roles use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.answers import KeyMetadata, as_list
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import code_of, is_denied
from sagemaker_retraining.doctor.findings import Check, Finding, ok, wrong
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.requests.policies import Policy


def key_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """One for each key that the file names."""
    for arn, name in scope.keys.items():
        yield Check(name, partial(_look, aws, scope, arn, name))


def _look(aws: Aws, scope: Scope, arn: str, subject: str) -> Iterator[Finding]:
    kms = aws.client("kms")
    try:
        key = kms.describe_key(KeyId=arn)["KeyMetadata"]
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
        yield wrong(subject, f"{arn} does not exist; correct it in the environment's file")
        return
    if problem := unusable(key):
        yield wrong(subject, f"{arn} {problem}")
        return
    try:
        policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    except ClientError as error:
        if not is_denied(error):
            raise
        yield ok(subject, f"{arn} is enabled; not allowed to read its policy")
        return
    left_out = [role for role in scope.role_users if not names_role(policy, role, scope.environment.account)]
    if left_out:
        roles = ", ".join(left_out)
        yield wrong(
            subject, f"the policy of {arn} names neither the account nor {roles}: IAM alone allows no use of it"
        )
    else:
        yield ok(subject, f"{arn} is enabled, its policy leaves it to IAM or names the roles")


def unusable(key: KeyMetadata) -> str:
    """Why S3 and EBS cannot encrypt with a key; empty when they can."""
    if key["KeyState"] != "Enabled":
        return f"is {key['KeyState']}; enable it (aws kms enable-key, or cancel its deletion), or take another"
    if key.get("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
        return f"is for {key['KeyUsage']}; a key for ENCRYPT_DECRYPT is needed"
    if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        return f"is {key['KeySpec']}; S3 and SageMaker need a symmetric key"
    return ""


def names_role(policy: Policy, role: str, account: str) -> bool:
    """Whether some statement of a key policy allows anything of KMS to the role, or leaves it to the account's IAM."""
    partition = role.split(":")[1]
    ours = {"*", account, f"arn:{partition}:iam::{account}:root", role}
    for statement in as_list(policy.get("Statement", [])):
        principal = statement.get("Principal", {})
        allowed = [principal] if isinstance(principal, str) else as_list(principal.get("AWS", []))
        if statement["Effect"] == "Allow" and ours & set(allowed):
            return True
    return False
