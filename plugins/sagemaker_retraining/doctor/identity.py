"""Whose credentials these are: without those of the right account no other check is of use."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from sagemaker_retraining.config import EnvironmentConfig
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import explained
from sagemaker_retraining.doctor.findings import Finding, ok, wrong

SUBJECT = "credentials"


@dataclass(frozen=True)
class Caller:
    """`arn` as STS says it; `principal` is the IAM user or role behind it, as far as its ARN tells, else None.

    The ARN of an assumed role leaves the role's path out, so a role with a path is found by its name.
    """

    account: str
    arn: str

    @property
    def role_name(self) -> str | None:
        """The name of an assumed role; None for any other caller."""
        kind, *rest = self.arn.split(":", 5)[5].split("/")
        return rest[0] if kind == "assumed-role" and rest else None

    @property
    def principal(self) -> str | None:
        """The ARN of an IAM user or role; None for the root user, a federated user and the like."""
        partition = self.arn.split(":")[1]
        if self.role_name:
            return f"arn:{partition}:iam::{self.account}:role/{self.role_name}"
        return self.arn if self.arn.split(":")[2] == "iam" and ":user/" in self.arn else None


class Stop(Exception):
    """No other check is of use; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def who_am_i(aws: Aws, environment: EnvironmentConfig) -> tuple[Caller, Finding]:
    """The caller. Raises Stop without credentials that AWS takes, and for those of another account."""
    try:
        answer = aws.client("sts").get_caller_identity()
    except NoCredentialsError:
        hint = "none found; log in (aws sso login, aws configure) or set AWS_PROFILE"
        raise Stop(wrong(SUBJECT, hint)) from None
    except (ClientError, BotoCoreError) as error:
        raise Stop(wrong(SUBJECT, explained(error))) from error
    caller = Caller(answer["Account"], answer["Arn"])
    if caller.account != environment.account:
        raise Stop(
            wrong(
                SUBJECT,
                f"{caller.arn} is of account {caller.account}, environment {environment.environment} is in account "
                f"{environment.account}; use credentials of that account, or correct `account`",
            )
        )
    return caller, ok(SUBJECT, f"{caller.arn}, account {caller.account}; looking in {environment.region}")
