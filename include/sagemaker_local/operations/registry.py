"""The model registry: model package groups and the versions in them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError, validation_error
from include.sagemaker_local.events import emit
from include.sagemaker_local.identity import user_context
from include.sagemaker_local.operations.listing import page
from include.sagemaker_local.operations.model_data import require_model_data
from include.sagemaker_local.operations.table import Request, Response, operation
from include.sagemaker_local.operations.tags import check_tags, save_tags
from include.sagemaker_local.state.packages import PackageValidation
from include.sagemaker_local.state.tags import delete_all_tags

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef as ModelPackage
    from mypy_boto3_sagemaker.type_defs import InferenceSpecificationTypeDef

GROUP = "model-package-group"
PACKAGE = "model-package"
_REPLACED = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
_UPDATED_FIELDS = {
    "SourceUri": "sourceUri",
    "CustomerMetadataPropertiesToRemove": "CustomerMetadataProperties",
    "AdditionalInferenceSpecificationsToAdd": "AdditionalInferenceSpecifications",
}
"""Members of UpdateModelPackage that UpdatedModelPackageFields of an event spells otherwise; the last two by guess."""


class _UsedToken(TypedDict):
    """A ClientToken's version, and the digest of the request that made it."""

    Arn: str
    Request: str


class ModelPackageGroup(TypedDict, total=False):
    """A stored group, beside the other members of its Create request."""

    ModelPackageGroupName: str
    ModelPackageGroupArn: str
    _LastVersion: int
    _ClientTokens: dict[str, _UsedToken]


@operation("CreateModelPackageGroup")
def create_model_package_group(context: Context, request: Request) -> Response:
    """A new, empty group; a name that is taken is a ValidationException."""
    name = request["ModelPackageGroupName"]
    arn = context.arn(GROUP, name)
    check_tags(request.get("Tags", []))
    body = {
        **{member: value for member, value in request.items() if member != "Tags"},
        "ModelPackageGroupArn": arn,
        "ModelPackageGroupStatus": "Completed",
        "CreationTime": time.time(),
        "CreatedBy": user_context(context),
        "_LastVersion": 0,
        "_ClientTokens": {},
    }
    if not context.store.insert(GROUP, name, body):
        raise validation_error(f"Model Package Group already exists: {arn}")
    save_tags(context, arn, request)
    return {"ModelPackageGroupArn": arn}


@operation("DescribeModelPackageGroup")
def describe_model_package_group(context: Context, request: Request) -> Response:
    """The group, by name or ARN."""
    return _group(context, request["ModelPackageGroupName"])


@operation("ListModelPackageGroups")
def list_model_package_groups(context: Context, request: Request) -> Response:
    """The groups, filtered, sorted and paged."""
    groups = context.store.list(GROUP)
    return page(request, groups, member="ModelPackageGroupSummaryList", name="ModelPackageGroupName")


@operation("DeleteModelPackageGroup")
def delete_model_package_group(context: Context, request: Request) -> Response:
    """Delete an empty group; one with versions is a ConflictException."""
    group = _group(context, request["ModelPackageGroupName"])
    name, arn = group["ModelPackageGroupName"], group["ModelPackageGroupArn"]
    if any(package["ModelPackageGroupName"] == name for package in context.store.list(PACKAGE)):
        raise AwsError("ConflictException", f"Model Package Group {arn} contains model packages; delete them first.")
    context.store.delete(GROUP, name)
    delete_all_tags(context.store, arn)
    return {}


@operation("CreateModelPackage")
def create_model_package(context: Context, request: Request) -> Response:
    """The next version of a group. The same ClientToken with the same request gives the same version again."""
    if {"ModelPackageName", "ModelPackageGroupName"} <= set(request):
        raise validation_error(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one to "
            "use."
        )
    if not {"ModelPackageName", "ModelPackageGroupName"} & set(request):
        raise validation_error("Missing ARN.")
    if "ModelPackageGroupName" not in request:
        raise AwsError(
            "UnsupportedOperation",
            "CreateModelPackage without ModelPackageGroupName is not implemented by the local SageMaker.",
            status=501,
        )
    if request.get("Tags"):
        raise validation_error(
            "Tags are not supported for versioned model packages; add them to the model package group instead."
        )
    group = _group(context, request["ModelPackageGroupName"])["ModelPackageGroupName"]
    package = _new_package(context, group, request)
    arn, created = _add_version(context, group, request, package)
    if created:
        _emit(context, arn)
    return {"ModelPackageArn": arn}


def _new_package(context: Context, group: str, request: Request) -> Request:
    """The version's body, but for its number. Raises ValidationException when a model artefact does not exist."""
    package = {member: value for member, value in request.items() if member != "ClientToken"}
    if "InferenceSpecification" in request:
        package["InferenceSpecification"] = _with_etags(context, request["InferenceSpecification"])
    return package | {
        "ModelPackageGroupName": group,
        "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
        **PackageValidation(context.store).outcome(group),
        "CertifyForMarketplace": request.get("CertifyForMarketplace", False),
        "CreationTime": time.time(),
        "CreatedBy": user_context(context),
    }


def _with_etags(context: Context, specification: InferenceSpecificationTypeDef) -> Mapping[str, object]:
    """The specification with the ETag of each container's artefact, as AWS adds it."""
    containers = []
    for container in specification["Containers"]:
        etag = require_model_data(context, container)
        containers.append({"ModelDataETag": etag, **container} if etag else container)
    return {**specification, "Containers": containers}


def _add_version(context: Context, group: str, request: Request, package: Request) -> tuple[str, bool]:
    """Number the package and store it, as one step: (ARN, False when its ClientToken was used before)."""
    token: str = request.get("ClientToken", "")
    digest = hashlib.sha256(json.dumps({**request, "ClientToken": ""}, sort_keys=True).encode()).hexdigest()
    result: list[tuple[str, bool]] = []

    def add(body: ModelPackageGroup) -> None:
        known = body["_ClientTokens"].get(token)
        if known:
            if known["Request"] != digest:
                raise AwsError("ConflictException", f"ClientToken {token} was used before with different parameters.")
            result.append((known["Arn"], False))
            return
        version, arn = _store_version(context, group, body["_LastVersion"] + 1, package)
        body["_LastVersion"] = version
        if token:
            body["_ClientTokens"][token] = {"Arn": arn, "Request": digest}
        result.append((arn, True))

    try:
        context.store.update(GROUP, group, add)
    except KeyError:  # deleted since it was looked up
        raise _no_group(context, group) from None
    return result[0]


def _store_version(context: Context, group: str, version: int, package: Request) -> tuple[int, str]:
    """Store under the first free number; after a crash the group may not have counted its newest version yet."""
    while True:
        arn = context.arn(PACKAGE, f"{group}/{version}")
        numbered = {**package, "ModelPackageVersion": version, "ModelPackageArn": arn}
        if context.store.insert(PACKAGE, f"{group}/{version}", numbered):
            return version, arn
        version += 1


@operation("DescribeModelPackage")
def describe_model_package(context: Context, request: Request) -> Response:
    """The version, by ARN or `<group>/<version>`."""
    return require_model_package(context, request["ModelPackageName"])


@operation("ListModelPackages")
def list_model_packages(context: Context, request: Request) -> Response:
    """The versions of a group, filtered, sorted and paged.

    As on AWS, without a group only unversioned packages are listed (there are none here) unless ModelPackageType says
    Versioned or Both.
    """
    packages = context.store.list(PACKAGE)
    if "ModelPackageGroupName" in request:
        group = _group(context, request["ModelPackageGroupName"])["ModelPackageGroupName"]
        packages = [package for package in packages if package["ModelPackageGroupName"] == group]
    elif request.get("ModelPackageType", "Unversioned") == "Unversioned":
        packages = []
    if "ModelApprovalStatus" in request:
        wanted = request["ModelApprovalStatus"]
        packages = [package for package in packages if package["ModelApprovalStatus"] == wanted]
    return page(request, packages, member="ModelPackageSummaryList", name="ModelPackageGroupName")


@operation("UpdateModelPackage")
def update_model_package(context: Context, request: Request) -> Response:
    """Change approval, metadata and the like; what the request does not name stays."""
    package = require_model_package(context, request["ModelPackageArn"])
    changes = {member: request[member] for member in _REPLACED if member in request}
    if "InferenceSpecification" in changes:
        changes["InferenceSpecification"] = _with_etags(context, changes["InferenceSpecification"])

    def change(body: Any) -> None:
        body.update(changes, LastModifiedTime=time.time(), LastModifiedBy=user_context(context))
        metadata = {**body.get("CustomerMetadataProperties", {}), **request.get("CustomerMetadataProperties", {})}
        for key in request.get("CustomerMetadataPropertiesToRemove", []):
            metadata.pop(key, None)
        body["CustomerMetadataProperties"] = metadata
        added = request.get("AdditionalInferenceSpecificationsToAdd", [])
        if added:
            body["AdditionalInferenceSpecifications"] = [*body.get("AdditionalInferenceSpecifications", []), *added]

    arn: str = package["ModelPackageArn"]
    try:
        context.store.update(PACKAGE, _key(arn), change)
    except KeyError:  # deleted since it was looked up
        raise _no_package(context, arn) from None
    fields = {_UPDATED_FIELDS.get(member, member) for member in request if member != "ModelPackageArn"}
    _emit(context, arn, UpdatedModelPackageFields=sorted(fields))
    return {"ModelPackageArn": arn}


@operation("DeleteModelPackage")
def delete_model_package(context: Context, request: Request) -> Response:
    """Delete a version; its number is not used again."""
    package = require_model_package(context, request["ModelPackageName"])
    context.store.delete(PACKAGE, _key(package["ModelPackageArn"]))
    return {}


def _group(context: Context, name_or_arn: str) -> ModelPackageGroup:
    group: ModelPackageGroup | None = context.store.get(GROUP, _key(name_or_arn))
    if group is None:
        raise _no_group(context, _key(name_or_arn))
    return group


def require_model_package(context: Context, name_or_arn: str) -> ModelPackage:
    """A stored version; raises ValidationException when there is none."""
    package: ModelPackage | None = context.store.get(PACKAGE, _key(name_or_arn))
    if package is None:
        raise _no_package(context, name_or_arn)
    return package


def _no_group(context: Context, name: str) -> AwsError:
    return validation_error(f"ModelPackageGroup {context.arn(GROUP, name)} does not exist.")


def _no_package(context: Context, name_or_arn: str) -> AwsError:
    return validation_error(f"ModelPackage {context.arn(PACKAGE, _key(name_or_arn))} does not exist.")


def _key(name_or_arn: str) -> str:
    """The store's name of an ARN or name: what follows the resource type."""
    return name_or_arn.rpartition(":")[2].partition("/")[2] if name_or_arn.startswith("arn:") else name_or_arn


def _emit(context: Context, arn: str, **more: object) -> None:
    """Send the event of a version; `more` are members that only the event has.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """
    package = context.store.get(PACKAGE, _key(arn))
    if package is None:
        return
    for member in ("CreationTime", "LastModifiedTime"):
        if member in package:
            package[member] = _iso(package[member])
    emit(context, "SageMaker Model Package State Change", arn, {**package, **more})


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
