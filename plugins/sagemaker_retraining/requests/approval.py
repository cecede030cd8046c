"""UpdateModelPackage of a person's decision on a version, and what the registry keeps of all decisions.

SageMaker itself remembers only who changed a version last. So every decision leaves three facts in the version's
CustomerMetadataProperties (`decided_by`, `decided_at`, `decided_from`) and one line of history, `transition.<nn>`:
"<ISO time> <from status>-<to status> by <who> from <channel>: <reason>".

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypedDict, cast

from sagemaker_retraining.plan import clean_tag

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as sagemaker
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType

PENDING: Final = "PendingManualApproval"
APPROVED: Final = "Approved"
REJECTED: Final = "Rejected"
AIRFLOW, CLI, MAKE_RUN, DEADLINE = "airflow", "cli", "make run", "deadline"
QUALITY_GATE, REGISTRY = "quality gate", "registry"
CHANNELS = (AIRFLOW, CLI, MAKE_RUN, DEADLINE, QUALITY_GATE, REGISTRY)
"""The approval channels: through which a decision came. `registry` is everything that is not ours: SageMaker Studio,
boto3, the AWS CLI."""
LONGEST_REASON = 1024
MOST_CHANGES = 10
"""So many of the newest are kept: a version takes 50 metadata entries in all."""
_NAME = re.compile(r"transition\.(\d{2,})")
_LINE = re.compile(rf"(\S+) (\w+)-(\w+) by (.*?) from ({'|'.join(CHANNELS)}):(?: (.*))?", re.DOTALL)


class ApprovalResult(TypedDict):
    """The XCom of `approval` and `review`: by whom, when (ISO 8601), through which approval channel and why."""

    model_package_arn: str
    status: str
    by: str
    at: str | None
    channel: str
    reason: str


@dataclass(frozen=True)
class ApprovalDecision:
    """The state of a version and who brought it about: `at` is ISO 8601, `channel` one of CHANNELS."""

    model_package_arn: str
    status: str
    by: str
    at: str | None
    channel: str
    reason: str

    def to_dict(self) -> ApprovalResult:
        """For XCom."""
        return cast("ApprovalResult", asdict(self))

    def __str__(self) -> str:
        if self.status == PENDING:
            return f"{short_name(self.model_package_arn)} is {self.status}: nobody has decided on it"
        moment = f" at {self.at}" if self.at else ""
        why = f": {self.reason}" if self.reason else ", without a reason"
        return f"{short_name(self.model_package_arn)} is {self.status} by {self.by} from {self.channel}{moment}{why}"


@dataclass(frozen=True)
class StatusChange:
    """One line of a version's history; `reason` may have been cut."""

    number: int
    at: str
    from_status: str
    to_status: str
    by: str
    channel: str
    reason: str


def short_name(arn: str) -> str:
    """`flight-delay/3` of a version's ARN."""
    return arn.split(":model-package/", 1)[-1]


def decision_request(
    package: sagemaker.DescribeModelPackageOutputTypeDef,
    status: str,
    *,
    by: str,
    channel: str,
    reason: str,
    at: datetime,
) -> sagemaker.UpdateModelPackageInputTypeDef:
    """UpdateModelPackage that approves or rejects a described version.

    Raises ValueError for a rejection without a reason, an unknown status or channel, a missing name of who decides, and
    a reason that SageMaker would refuse as too long.
    """
    reason = " ".join(reason.split())
    if status not in (APPROVED, REJECTED) or channel not in CHANNELS:
        raise ValueError(
            f"a decision {status!r} from {channel!r}: expected {APPROVED} or {REJECTED} from one of {CHANNELS}"
        )
    if not by.strip():
        raise ValueError(f"{short_name(package['ModelPackageArn'])}: who decides? The decision needs a name")
    if status == REJECTED and not reason:
        raise ValueError(f"{short_name(package['ModelPackageArn'])}: a rejection needs a reason")
    if len(reason) > LONGEST_REASON:
        raise ValueError(f"the reason has {len(reason)} characters; SageMaker takes {LONGEST_REASON}")
    request = _with_history(package, status, by=by, channel=channel, reason=reason, at=at)
    request["ModelApprovalStatus"] = cast("ModelApprovalStatusType", status)  # one of the two, see above
    request["ApprovalDescription"] = reason
    if stage := _stage(package):
        request["ModelLifeCycle"] = {"Stage": stage, "StageStatus": status, "StageDescription": reason}
    return request


def record_request(
    package: sagemaker.DescribeModelPackageOutputTypeDef,
) -> sagemaker.UpdateModelPackageInputTypeDef | None:
    """UpdateModelPackage that notes a decision which no channel of ours noted; None when there is nothing to note."""
    if is_recorded(package):
        return None
    made = decision_of(package)
    at = package.get("LastModifiedTime") or package["CreationTime"]
    return _with_history(package, made.status, by=made.by, channel=made.channel, reason=made.reason, at=at)


def is_recorded(package: sagemaker.DescribeModelPackageOutputTypeDef) -> bool:
    """Whether the version's state is the one its history ends with; a pending version without history is."""
    history = status_changes(package)
    return package["ModelApprovalStatus"] == (history[-1].to_status if history else PENDING)


def status_changes(package: sagemaker.DescribeModelPackageOutputTypeDef) -> list[StatusChange]:
    """The history of a described version, oldest first; lines that are none of ours are left out."""
    found = []
    for key, text in package.get("CustomerMetadataProperties", {}).items():
        name, line = _NAME.fullmatch(key), _LINE.fullmatch(text)
        if name and line:
            at, before, after, by, channel, reason = line.groups()
            found.append(StatusChange(int(name[1]), at, before, after, by, channel, reason or ""))
    return sorted(found, key=lambda change: change.number)


def decision_of(package: sagemaker.DescribeModelPackageOutputTypeDef) -> ApprovalDecision:
    """Who brought a described version into its state, and why.

    The name that a channel of ours recorded comes before the IAM identity, which is often a shared role, unless the
    state was changed after that.
    """
    metadata = package.get("CustomerMetadataProperties", {})
    status, reason = package["ModelApprovalStatus"], package.get("ApprovalDescription", "")
    if "decided_by" in metadata and is_recorded(package):
        by, at, channel = metadata["decided_by"], metadata.get("decided_at"), metadata.get("decided_from", REGISTRY)
    elif reason.startswith(f"{QUALITY_GATE}: "):
        by, at, channel = QUALITY_GATE, _iso(package.get("CreationTime")), QUALITY_GATE
    else:
        by, at, channel = _identity(package), _iso(package.get("LastModifiedTime")), REGISTRY
    return ApprovalDecision(package["ModelPackageArn"], status, by, at, channel, reason)


def _with_history(
    package: sagemaker.DescribeModelPackageOutputTypeDef,
    status: str,
    *,
    by: str,
    channel: str,
    reason: str,
    at: datetime,
) -> sagemaker.UpdateModelPackageInputTypeDef:
    history = status_changes(package)
    before = history[-1].to_status if history else PENDING
    number = history[-1].number + 1 if history else 1
    moment = at.astimezone(UTC).isoformat()
    line = f"{moment} {before}-{status} by {by} from {channel}: {reason}"
    facts = {"decided_by": by, "decided_at": moment, "decided_from": channel, f"transition.{number:02}": line}
    request: sagemaker.UpdateModelPackageInputTypeDef = {
        "ModelPackageArn": package["ModelPackageArn"],
        "CustomerMetadataProperties": {key: clean_tag(value).strip() for key, value in facts.items()},
    }
    if old := [f"transition.{item.number:02}" for item in history[: -(MOST_CHANGES - 1)]]:
        request["CustomerMetadataPropertiesToRemove"] = old
    return request


def _stage(package: sagemaker.DescribeModelPackageOutputTypeDef) -> str | None:
    """The stage the registration gave the version, else its environment; None for a version that is not ours."""
    stage = package.get("ModelLifeCycle", {}).get("Stage")
    return stage or package.get("CustomerMetadataProperties", {}).get("environment")


def _identity(package: sagemaker.DescribeModelPackageOutputTypeDef) -> str:
    context: sagemaker.UserContextTypeDef = package.get("LastModifiedBy") or package.get("CreatedBy") or {}
    return str(context.get("UserProfileName") or context.get("IamIdentity", {}).get("Arn") or "unknown")


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
