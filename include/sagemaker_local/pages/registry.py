"""Pages about model versions for people: `/_local/models`, and `/_local/models/<group>/<version>`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict
from urllib.parse import quote

from include.sagemaker_local.context import Context
from include.sagemaker_local.http.types import Reply
from include.sagemaker_local.operations.registry import PACKAGE
from include.sagemaker_local.pages.render import moment, page

MODELS = "/_local/models"
_TRAIL = {"address": MODELS, "label": "Model versions"}
_IN_SUMMARY = frozenset(
    {"CustomerMetadataProperties", "CreatedBy", "LastModifiedBy", "CreationTime", "LastModifiedTime"}
)


def answer_models_page(context: Context, path: str) -> Reply:
    """The page at a path at or below `MODELS`; a page that says so, with status 404, when there is no such version."""
    name = path.removeprefix(MODELS).strip("/")
    if not name:
        return page("models.html", trail=_TRAIL, versions=_versions(context))
    package = context.store.get(PACKAGE, name)
    if package is None:
        message = f"{name} does not exist."
        return page("message.html", 404, trail=_TRAIL, heading="No such version", message=message)
    return page(
        "model_version.html",
        trail=_TRAIL,
        name=name,
        status=package["ModelApprovalStatus"],
        summary=_summary(package),
        metadata=sorted(package.get("CustomerMetadataProperties", {}).items()),
        description={key: value for key, value in package.items() if key not in _IN_SUMMARY and key[0] != "_"},
    )


class VersionRow(TypedDict):
    """A model version in the list."""

    address: str
    name: str
    period: str
    status: str
    created: float
    reason: str


def _versions(context: Context) -> list[VersionRow]:
    """The rows of the list, newest first."""
    return [
        {
            "address": f"{MODELS}/{quote(name)}",
            "name": name,
            "period": package.get("CustomerMetadataProperties", {}).get("period", "-"),
            "status": package["ModelApprovalStatus"],
            "created": package["CreationTime"],
            "reason": package.get("ApprovalDescription", ""),
        }
        for package in reversed(context.store.list(PACKAGE))
        for name in [f"{package['ModelPackageGroupName']}/{package['ModelPackageVersion']}"]
    ]


def _summary(package: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Labels and values; `package` is a stored version, in the shape of DescribeModelPackage."""
    return [
        ("ARN", package["ModelPackageArn"]),
        ("Created", f"{moment(package['CreationTime'])} by {_user_arn(package, 'CreatedBy')}"),
        ("Changed", f"{moment(package.get('LastModifiedTime'))} by {_user_arn(package, 'LastModifiedBy')}"),
        ("Why", package.get("ApprovalDescription", "-")),
    ]


def _user_arn(package: Mapping[str, Any], member: str) -> str:
    return str(package.get(member, {}).get("IamIdentity", {}).get("Arn", "-"))
