"""Execution roles: whether they exist under exactly this ARN, and whether SageMaker may assume them."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial

from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.answers import Conditions, IamPrincipal, as_list
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import code_of
from sagemaker_retraining.doctor.findings import Check, Finding, ok, unknown, wrong
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.requests.policies import Policy, Statement

SAGEMAKER = "sagemaker.amazonaws.com"
TRUST = "include/iam/execution-role.trust.json"


def role_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """One for each execution role."""
    for arn, used_for in scope.role_users.items():
        subject = f"role of {used_for}"
        yield Check(subject, partial(_look, aws, scope, arn, subject))


def describe_role(aws: Aws, arn: str) -> IamPrincipal | None:
    """The role of that name, None when there is none. Raises ClientError when the caller may not ask."""
    try:
        role: IamPrincipal = aws.client("iam").get_role(RoleName=arn.rsplit("/", 1)[-1])["Role"]
    except ClientError as error:
        if code_of(error) == "NoSuchEntity":
            return None
        raise
    return role


def _look(aws: Aws, scope: Scope, arn: str, subject: str) -> Iterator[Finding]:
    role = describe_role(aws, arn)
    if role is None:
        yield wrong(subject, f"{arn} does not exist; create it with {TRUST} as its trust policy, or correct the file")
    elif role["Arn"] != arn:
        yield wrong(subject, f"{arn} does not exist, but {role['Arn']} does; write that into the file")
    else:
        where = scope.environment
        yield judge_trust(subject, arn, role["AssumeRolePolicyDocument"], where.account, where.region)


def judge_trust(subject: str, arn: str, trust: Policy, account: str, region: str) -> Finding:
    """Whether a trust policy lets SageMaker assume the role for this account."""
    statements = [one for one in as_list(trust.get("Statement", [])) if _about_sagemaker(one)]
    allowing = [one for one in statements if one["Effect"] == "Allow"]
    if any(one["Effect"] == "Deny" for one in statements):
        return unknown(subject, f"a statement of the trust policy of {arn} denies; see whether it is about SageMaker")
    if not allowing:
        return wrong(subject, f"{arn} does not trust {SAGEMAKER}; its trust policy should be that of {TRUST}")
    problems = [problem for one in allowing if (problem := _unmet(one.get("Condition", {}), account, region))]
    if len(problems) == len(allowing):
        return wrong(subject, f"{arn} trusts {SAGEMAKER} only where {problems[0]}; this is account {account}, {region}")
    return ok(subject, f"{arn} trusts {SAGEMAKER}")


def _about_sagemaker(statement: Statement) -> bool:
    principal = statement.get("Principal", {})
    services = [principal] if isinstance(principal, str) else as_list(principal.get("Service", []))
    actions = [str(action).lower() for action in as_list(statement.get("Action", []))]
    return bool({SAGEMAKER, "*"} & set(services)) and any(fnmatchcase("sts:assumerole", action) for action in actions)


def _unmet(conditions: Conditions, account: str, region: str) -> str:
    """The first condition that SageMaker's call for this account and region cannot meet; empty when there is none."""
    for operator, keys in conditions.items():
        for key, value in keys.items():
            if "Not" in operator or key.lower() not in {"aws:sourceaccount", "aws:sourcearn"}:
                continue
            values = [str(one) for one in as_list(value)]
            if key.lower() == "aws:sourceaccount":
                met = any(fnmatchcase(account, one) for one in values)
            else:
                met = any(_is_met_here(one, account, region) for one in values)
            if not met:
                return f"{key} is {', '.join(values)}"
    return ""


def _is_met_here(pattern: str, account: str, region: str) -> bool:
    """Whether a pattern of aws:SourceArn leaves room for SageMaker's resources of this account and region."""
    if not pattern.startswith("arn:"):
        return fnmatchcase(f"arn:aws:sagemaker:{region}:{account}:training-job/x", pattern)
    parts = [*pattern.split(":", 5), "*", "*", "*", "*"]
    return all(fnmatchcase(ours, parts[index]) for index, ours in ((2, "sagemaker"), (3, region), (4, account)))
