"""The reviewer of a run: the driver itself (REVIEW=auto), or a person who is told how (REVIEW=manual)."""

from __future__ import annotations

import getpass
from typing import Any

from include.laptop.jobs import SageMaker

PENDING = "PendingManualApproval"


def approve(sagemaker: SageMaker, arn: str, gate: dict[str, Any]) -> str:
    """Approve the pending version in the registry, in the user's name; returns the sentence that tells about it.

    A version that somebody has decided on meanwhile is left as it is.
    """
    package = sagemaker.api.describe_model_package(ModelPackageName=arn)
    if package["ModelApprovalStatus"] != PENDING:
        return f"{short(arn)} is {package['ModelApprovalStatus']} already."
    user = getpass.getuser()
    reason = f"make run played the reviewer: {gate.get('reason') or 'the quality gate passed'}"
    sagemaker.api.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription=reason[:1024],
        CustomerMetadataProperties={"decided_by": user},
    )
    return f"Playing the reviewer: {short(arn)} approved as {user} (REVIEW=manual leaves that to you)."


def instructions(sagemaker: SageMaker, arn: str) -> str:
    """How a person approves or rejects."""
    command = (
        f"AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws --region us-east-1 "
        f"--endpoint-url {sagemaker.where.sagemaker} sagemaker update-model-package --model-package-arn {arn} "
        '--model-approval-status Approved --approval-description "why"'
    )
    return f"{short(arn)} waits for your decision. From another terminal, Approved or Rejected:\n  {command}"


def short(arn: str) -> str:
    """`flight-delay/3` of a version's ARN."""
    return arn.split(":model-package/", 1)[-1]
