"""The Model Registry: list versions, choose among them, decide on one. No Airflow: the command line uses it too.

Every function takes a boto3 SageMaker client. The registry is the only source of truth for approval: each channel
(Airflow's Required Actions, the command line, SageMaker Studio, boto3) ends as UpdateModelPackage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sagemaker_retraining.promotion_rule import Version, why_it_ends
from sagemaker_retraining.requests.approval import (
    APPROVED,
    PENDING,
    ApprovalDecision,
    decision_of,
    decision_request,
    record_request,
)
from sagemaker_retraining.requests.validation import validate

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType
    from mypy_boto3_sagemaker.type_defs import (
        CreateModelPackageInputTypeDef,
        ListModelPackagesInputPaginateTypeDef,
        ModelPackageSummaryTypeDef,
        UpdateModelPackageInputTypeDef,
    )

    from sagemaker_retraining.described import DescribedVersion

SETTLE_SECONDS = 1.0
"""How long whoever wrote a decision waits before reading back which one stands; see `decide_version`."""
PAGE_SIZE = 100
CONFLICT_TRIES, CONFLICT_PAUSE_SECONDS = 5, 1.0
"""How often a version is looked at and written anew when SageMaker says that somebody else is changing it."""


def is_not_found(error: ClientError) -> bool:
    """SageMaker answers ValidationException for what does not exist, though its model declares ResourceNotFound."""
    code = error.response["Error"]["Code"]
    message = error.response["Error"]["Message"].lower()
    return code in {"ResourceNotFound", "ResourceNotFoundException"} or (
        code == "ValidationException" and any(text in message for text in ("not find", "not found", "does not exist"))
    )


def describe_version(api: SageMakerClient, arn: str) -> DescribedVersion:
    """The Describe response of a version. Raises ClientError when there is none."""
    return api.describe_model_package(ModelPackageName=arn)


def list_versions(
    api: SageMakerClient, group: str, status: ModelApprovalStatusType | None = None
) -> Iterator[ModelPackageSummaryTypeDef]:
    """The summaries of a group's versions, newest first; none when there is no such group."""
    request: ListModelPackagesInputPaginateTypeDef = {
        "ModelPackageGroupName": group,
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "PaginationConfig": {"PageSize": PAGE_SIZE},
    }
    if status:
        request["ModelApprovalStatus"] = status
    pages = api.get_paginator("list_model_packages").paginate(**request)
    try:
        for page in pages:
            yield from page["ModelPackageSummaryList"]
    except ClientError as error:
        if not is_not_found(error):
            raise


def versions(
    api: SageMakerClient, group: str, status: ModelApprovalStatusType | None = None
) -> Iterator[DescribedVersion]:
    """The Describe responses of a group's versions, newest first; one call for each as it is taken."""
    for summary in list_versions(api, group, status):
        yield describe_version(api, summary["ModelPackageArn"])


def noted_period(package: DescribedVersion) -> str | None:
    """The month a version is about, as registration noted it."""
    return package.get("CustomerMetadataProperties", {}).get("period")


def number_and_period(package: DescribedVersion) -> Version:
    """What the promotion rule asks of a described version."""
    return Version(package["ModelPackageVersion"], noted_period(package))


def run_and_artifact(package: DescribedVersion | CreateModelPackageInputTypeDef) -> tuple[str | None, str | None]:
    """Run and artefact of a version, described or to be registered: what makes two of them the same."""
    containers = package["InferenceSpecification"]["Containers"] if "InferenceSpecification" in package else []
    artifact = containers[0].get("ModelDataUrl") if containers else None
    return package.get("CustomerMetadataProperties", {}).get("run_id"), artifact


def metric_of(package: DescribedVersion, metric: str) -> float | None:
    """The challenger's value that registration noted; None without one that is a finite number."""
    try:
        value = float(package.get("CustomerMetadataProperties", {}).get(f"metric.{metric}", "nan"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def best_version(packages: Iterable[DescribedVersion], metric: str, direction: str) -> DescribedVersion | None:
    """The best approved of described versions by one metric; of equal ones the newest. None when none has it.

    `direction` is maximize or minimize. Each month's value was measured on that month's data: a version that is best
    here met an easier month, or is better. It is the choice to begin with when production has to go back.
    """
    sign = 1 if direction == "maximize" else -1
    rated = [
        (sign * value, package["ModelPackageVersion"], package)
        for package in packages
        if package["ModelApprovalStatus"] == APPROVED and (value := metric_of(package, metric)) is not None
    ]
    return max(rated, key=lambda entry: entry[:2], default=(0, 0, None))[2]


def why_nobody_decides(
    api: SageMakerClient, package: DescribedVersion, *, run_type: str, replace_newer: bool
) -> str | None:
    """Why a run's version ends before approval, by the promotion rule; None when it may go on."""
    approved = map(number_and_period, versions(api, package["ModelPackageGroupName"], "Approved"))
    return why_it_ends(number_and_period(package), approved, run_type=run_type, replace_newer=replace_newer)


def decide_version(
    api: SageMakerClient,
    arn: str,
    status: str,
    *,
    by: str,
    channel: str,
    reason: str,
    settle_seconds: float = SETTLE_SECONDS,
) -> tuple[ApprovalDecision, bool]:
    """Approve or reject a pending version: the decision that stands, and whether it is this one.

    A version on which somebody has decided is left as it is. SageMaker has no conditional update: two channels that
    find the version pending in the same moment both write, and the later write stands. So the result is read back after
    a pause in which every such write has arrived, and both are told the same winner.
    Raises ValueError (a rejection without a reason …), RequestError, ClientError.
    """

    def wanted(package: DescribedVersion) -> UpdateModelPackageInputTypeDef | None:
        if package["ModelApprovalStatus"] != PENDING:
            return None
        return decision_request(package, status, by=by, channel=channel, reason=reason, at=datetime.now(UTC))

    package, request = update_version(api, describe_version(api, arn), wanted)
    if request is None:
        return decision_of(package), False
    time.sleep(settle_seconds)
    stands = describe_version(api, arn)
    written = request["CustomerMetadataProperties"]
    found = stands.get("CustomerMetadataProperties", {})
    mine = stands["ModelApprovalStatus"] == status and all(found.get(key) == value for key, value in written.items())
    return decision_of(stands), mine


def record_decision(api: SageMakerClient, package: DescribedVersion) -> ApprovalDecision:
    """The decision on a described version; one that came from outside is written into its history first."""
    package, _ = update_version(api, package, record_request)
    return decision_of(package)


def update_version(
    api: SageMakerClient,
    package: DescribedVersion,
    wanted: Callable[[DescribedVersion], UpdateModelPackageInputTypeDef | None],
) -> tuple[DescribedVersion, UpdateModelPackageInputTypeDef | None]:
    """Send the UpdateModelPackage that `wanted` makes of a described version; None: nothing is to be done.

    SageMaker may answer ConflictException while somebody else changes the version: it is described anew, and so is
    what is wanted of it. The version as it was found and the request that was carried out.
    Raises ClientError, also for a conflict that does not end.
    """
    for tries_left in reversed(range(CONFLICT_TRIES)):
        request = wanted(package)
        if request is None:
            break
        validate("UpdateModelPackage", request)
        try:
            api.update_model_package(**request)
            break
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException" or not tries_left:
                raise
        time.sleep(CONFLICT_PAUSE_SECONDS)
        package = describe_version(api, package["ModelPackageArn"])
    return package, request


def find_version(api: SageMakerClient, group: str, number: int) -> DescribedVersion:
    """The described version of a group by its number. Raises ValueError, which names those there are."""
    numbers = []
    for summary in list_versions(api, group):
        if summary["ModelPackageVersion"] == number:
            return describe_version(api, summary["ModelPackageArn"])
        numbers.append(summary["ModelPackageVersion"])
    there = f"its versions are {', '.join(map(str, sorted(numbers)))}" if numbers else "there is no version of it"
    raise ValueError(f"{group}/{number} does not exist: {there}")
