"""UpdateModelPackage of a person's decision on a version, and what the registry keeps of all decisions.

SageMaker itself remembers only who changed a version last. So every decision leaves three facts in the version's
CustomerMetadataProperties (`decided_by`, `decided_at`, `decided_from`) and one line of history, `transition.<nn>`:
"<ISO time> <from status>-<to status> by <who> from <door>: <reason>".

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sagemaker_retraining.plan import clean_tag

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
AIRFLOW, CLI, MAKE_RUN, DEADLINE = "airflow", "cli", "make run", "deadline"
QUALITY_GATE, REGISTRY = "quality gate", "registry"
DOORS = (AIRFLOW, CLI, MAKE_RUN, DEADLINE, QUALITY_GATE, REGISTRY)
"""From where a decision came; `registry` is everything that is not ours: SageMaker Studio, boto3, the AWS CLI."""
LONGEST_REASON = 1024
MOST_TRANSITIONS = 10
"""So many of the newest are kept: a version takes 50 metadata entries in all."""
_NAME = re.compile(r"transition\.(\d{2,})")
_LINE = re.compile(rf"(\S+) (\w+)-(\w+) by (.*?) from ({'|'.join(DOORS)}):(?: (.*))?", re.DOTALL)


@dataclass(frozen=True)
class Decision:
    """The state of a version and who brought it about: `at` is ISO 8601, `door` one of DOORS."""

    model_package_arn: str
    status: str
    by: str
    at: str | None
    door: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, for XCom."""
        return asdict(self)

    def __str__(self) -> str:
        if self.status == PENDING:
            return f"{short_name(self.model_package_arn)} is {self.status}: nobody has decided on it"
        moment = f" at {self.at}" if self.at else ""
        said = f": {self.reason}" if self.reason else ", without a reason"
        return f"{short_name(self.model_package_arn)} is {self.status} by {self.by} from {self.door}{moment}{said}"


@dataclass(frozen=True)
class Transition:
    """One line of a version's history; `reason` may have been cut."""

    number: int
    at: str
    from_status: str
    to_status: str
    by: str
    door: str
    reason: str


def short_name(arn: str) -> str:
    """`flight-delay/3` of a version's ARN."""
    return arn.split(":model-package/", 1)[-1]


def decision_request(
    package: Mapping[str, Any], status: str, *, by: str, door: str, reason: str, at: datetime
) -> dict[str, Any]:
    """UpdateModelPackage that approves or rejects a described version.

    Raises ValueError for a rejection without a reason, an unknown status or door, a nameless decider and a reason that
    SageMaker would refuse as too long.
    """
    reason = " ".join(reason.split())
    if status not in (APPROVED, REJECTED) or door not in DOORS:
        raise ValueError(f"a decision {status!r} from {door!r}: expected {APPROVED} or {REJECTED} from one of {DOORS}")
    if not by.strip():
        raise ValueError(f"{short_name(package['ModelPackageArn'])}: who decides? The decision needs a name")
    if status == REJECTED and not reason:
        raise ValueError(f"{short_name(package['ModelPackageArn'])}: a rejection needs a reason")
    if len(reason) > LONGEST_REASON:
        raise ValueError(f"the reason has {len(reason)} characters; SageMaker takes {LONGEST_REASON}")
    request = _with_history(package, status, by=by, door=door, reason=reason, at=at)
    request |= {"ModelApprovalStatus": status, "ApprovalDescription": reason}
    if stage := _stage(package):
        request["ModelLifeCycle"] = {"Stage": stage, "StageStatus": status, "StageDescription": reason}
    return request


def record_request(package: Mapping[str, Any]) -> dict[str, Any] | None:
    """UpdateModelPackage that writes down a decision nobody did; metadata only. None when all is written down."""
    if is_recorded(package):
        return None
    made = decision_of(package)
    at = package.get("LastModifiedTime") or package["CreationTime"]
    return _with_history(package, made.status, by=made.by, door=made.door, reason=made.reason, at=at)


def is_recorded(package: Mapping[str, Any]) -> bool:
    """Whether the version's state is the one its history ends with; a pending version without history is."""
    history = transitions(package)
    status: str = package["ModelApprovalStatus"]
    return status == (history[-1].to_status if history else PENDING)


def transitions(package: Mapping[str, Any]) -> list[Transition]:
    """The history of a described version, oldest first; lines that are none of ours are left out."""
    found = []
    for key, text in package.get("CustomerMetadataProperties", {}).items():
        name, line = _NAME.fullmatch(key), _LINE.fullmatch(text)
        if name and line:
            at, before, after, by, door, reason = line.groups()
            found.append(Transition(int(name[1]), at, before, after, by, door, reason or ""))
    return sorted(found, key=lambda transition: transition.number)


def decision_of(package: Mapping[str, Any]) -> Decision:
    """Who brought a described version into its state, and why.

    The name a door of ours recorded comes before the IAM identity, which is often a shared role, unless the state was
    changed after that.
    """
    metadata = package.get("CustomerMetadataProperties", {})
    status, reason = package["ModelApprovalStatus"], package.get("ApprovalDescription", "")
    if "decided_by" in metadata and is_recorded(package):
        by, at, door = metadata["decided_by"], metadata.get("decided_at"), metadata.get("decided_from", REGISTRY)
    elif reason.startswith(f"{QUALITY_GATE}: "):
        by, at, door = QUALITY_GATE, _iso(package.get("CreationTime")), QUALITY_GATE
    else:
        by, at, door = _identity(package), _iso(package.get("LastModifiedTime")), REGISTRY
    return Decision(package["ModelPackageArn"], status, by, at, door, reason)


def _with_history(
    package: Mapping[str, Any], status: str, *, by: str, door: str, reason: str, at: datetime
) -> dict[str, Any]:
    history = transitions(package)
    before = history[-1].to_status if history else PENDING
    number = history[-1].number + 1 if history else 1
    moment = at.astimezone(UTC).isoformat()
    line = f"{moment} {before}-{status} by {by} from {door}: {reason}"
    facts = {"decided_by": by, "decided_at": moment, "decided_from": door, f"transition.{number:02}": line}
    request: dict[str, Any] = {
        "ModelPackageArn": package["ModelPackageArn"],
        "CustomerMetadataProperties": {key: clean_tag(value).strip() for key, value in facts.items()},
    }
    if old := [f"transition.{item.number:02}" for item in history[: -(MOST_TRANSITIONS - 1)]]:
        request["CustomerMetadataPropertiesToRemove"] = old
    return request


def _stage(package: Mapping[str, Any]) -> str | None:
    """The stage the registration gave the version, else its environment; None for a version that is not ours."""
    stage: str | None = package.get("ModelLifeCycle", {}).get("Stage")
    return stage or package.get("CustomerMetadataProperties", {}).get("environment")


def _identity(package: Mapping[str, Any]) -> str:
    context = package.get("LastModifiedBy") or package.get("CreatedBy") or {}
    return str(context.get("UserProfileName") or context.get("IamIdentity", {}).get("Arn") or "unknown")


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
