"""The reviewer of a run: the driver itself (REVIEW=auto), or a person who is told how (REVIEW=manual)."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from include.laptop.jobs import SageMaker
from include.laptop.layout import addresses

PENDING = "PendingManualApproval"


def approve(sagemaker: SageMaker, arn: str, gate: dict[str, Any]) -> str:
    """Approve the pending version in the registry, in the user's name; returns the sentence that tells about it.

    A version that somebody has decided on meanwhile is left as it is.
    """
    package = sagemaker.api.describe_model_package(ModelPackageName=arn)
    if package["ModelApprovalStatus"] != PENDING:
        return f"{short(arn)} is {package['ModelApprovalStatus']} already."
    decide(sagemaker, arn, "Approved", f"make run played the reviewer: {gate.get('reason')}")
    return f"Playing the reviewer: {short(arn)} approved as {getpass.getuser()} (REVIEW=manual leaves that to you)."


def decide(sagemaker: SageMaker, arn: str, status: str, reason: str) -> None:
    """Write a decision into the registry, with the user's name: on a laptop the AWS identity says nothing."""
    sagemaker.api.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus=status,
        ApprovalDescription=reason[:1024],
        CustomerMetadataProperties={"decided_by": getpass.getuser()},
    )


def decision(sagemaker: SageMaker, arn: str) -> dict[str, Any]:
    """`{status, by, reason}` as the registry has it; `by` and `reason` are None while nobody has decided."""
    package = sagemaker.api.describe_model_package(ModelPackageName=arn)
    identity = package.get("LastModifiedBy", {}).get("IamIdentity", {}).get("Arn")
    pending = package["ModelApprovalStatus"] == PENDING
    return {
        "status": package["ModelApprovalStatus"],
        "by": None if pending else package.get("CustomerMetadataProperties", {}).get("decided_by", identity),
        "reason": package.get("ApprovalDescription"),
    }


def instructions(sagemaker: SageMaker, arn: str) -> str:
    """How a person approves or rejects."""
    port = sagemaker.where.sagemaker_port
    command = f'SAGEMAKER_PORT={port} .venv/bin/python -m include.laptop.reviewer {arn} Approved "why"'
    return f"{short(arn)} waits for your decision; from another terminal, Approved or Rejected:\n  {command}"


def short(arn: str) -> str:
    """`flight-delay/3` of a version's ARN."""
    return arn.split(":model-package/", 1)[-1]


def main(arguments: list[str]) -> int:
    """`python -m include.laptop.reviewer ARN Approved|Rejected REASON`."""
    if len(arguments) != 3:
        sys.stderr.write(f"{main.__doc__}\n")
        return 2
    try:
        decide(SageMaker(addresses()), *arguments)
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
