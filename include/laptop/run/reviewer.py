"""The reviewer of a run: the driver itself (REVIEW=auto), or a person who is told how (REVIEW=manual)."""

from __future__ import annotations

import getpass
from typing import TypedDict

from include.laptop.run.jobs import SageMaker
from include.laptop.stack.command_lines import project_cli
from sagemaker_retraining import registry
from sagemaker_retraining.gate.document import GateResult
from sagemaker_retraining.requests.approval import APPROVED, MAKE_RUN, PENDING, decision_of, short_name


class Approval(TypedDict):
    """What was decided on a version; `by` and `reason` are None while nobody has decided."""

    status: str
    by: str | None
    reason: str | None


def approve(sagemaker: SageMaker, arn: str, gate: GateResult | None) -> str:
    """Approve the pending version in the registry, in the user's name; returns the sentence that tells about it.

    A version that somebody has decided on meanwhile is left as it is.
    """
    reason = f"make run played the reviewer: {gate['reason'] if gate else None}"
    decision, mine = registry.decide_version(
        sagemaker.api, arn, APPROVED, by=getpass.getuser(), channel=MAKE_RUN, reason=reason
    )
    if not mine:
        return f"{decision}."
    return f"Playing the reviewer: {short_name(arn)} approved as {decision.by} (REVIEW=manual leaves that to you)."


def approval(sagemaker: SageMaker, arn: str) -> Approval:
    """A version's approval as the registry has it."""
    made = decision_of(registry.describe_version(sagemaker.api, arn))
    pending = made.status == PENDING
    return {"status": made.status, "by": None if pending else made.by, "reason": None if pending else made.reason}


def instructions(sagemaker: SageMaker, model: str, arn: str, review: str) -> str:
    """How a person approves or rejects; `review` is the address of the run's Required Actions."""
    name = short_name(arn)
    return (
        f"{name} waits for your decision: under Required Actions,\n  {review}\n"
        f"or from another terminal, approve or reject:\n"
        f'  {project_cli(sagemaker.where.sagemaker)} approve {model} {name.rpartition("/")[2]} --reason "why"'
    )
