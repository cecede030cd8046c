"""Pages about model versions for people: `/_local/models`, and `/_local/models/<group>/<version>`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from include.sagemaker_local.context import Context
from include.sagemaker_local.http.wsgi import Reply
from include.sagemaker_local.operations.registry import PACKAGE
from include.sagemaker_local.pages.html import Markup, badge, block, facts, link, page, section, table, text

MODELS = "/_local/models"
_SHOWN = frozenset({"CustomerMetadataProperties", "CreatedBy", "LastModifiedBy", "CreationTime", "LastModifiedTime"})


def answer_models_page(context: Context, path: str) -> Reply:
    """The page at a path at or below `MODELS`; a page that says so, with status 404, when there is no such version."""
    name = path.removeprefix(MODELS).strip("/")
    if not name:
        return _list_page(context)
    package = context.store.get(PACKAGE, name)
    if package is None:
        heading = Markup("<h1>No such version</h1>")
        return page("No such version", _navigation(), heading, f"{name} does not exist.", status=404)
    return _version_page(name, package)


def _list_page(context: Context) -> Reply:
    rows = [
        (
            link(f"{MODELS}/{quote(name)}", name),
            package.get("CustomerMetadataProperties", {}).get("period", "-"),
            badge(package["ModelApprovalStatus"]),
            _moment(package["CreationTime"]),
            package.get("ApprovalDescription", ""),
        )
        for package in reversed(context.store.list(PACKAGE))
        for name in [f"{package['ModelPackageGroupName']}/{package['ModelPackageVersion']}"]
    ]
    columns = ("Version", "Period", "Approval", "Created", "Why")
    content = table(columns, rows) if rows else "No version has been registered yet."
    return page("Model versions", _navigation(), Markup("<h1>Model versions</h1>"), section("Newest first", content))


def _version_page(name: str, package: dict[str, Any]) -> Reply:
    status = package["ModelApprovalStatus"]
    summary = [
        ("ARN", package["ModelPackageArn"]),
        ("Created", f"{_moment(package['CreationTime'])} by {_who(package.get('CreatedBy'))}"),
        ("Changed", f"{_moment(package.get('LastModifiedTime'))} by {_who(package.get('LastModifiedBy'))}"),
        ("Why", package.get("ApprovalDescription", "-")),
    ]
    metadata = sorted(package.get("CustomerMetadataProperties", {}).items())
    rest = {key: value for key, value in package.items() if key not in _SHOWN and not key.startswith("_")}
    return page(
        f"{name}: {status}",
        _navigation(),
        Markup(f"<h1>{text(name)} {badge(status)}</h1>"),
        section("Summary", facts(summary)),
        section("Metadata", table(("Name", "Value"), metadata) if metadata else "There is none."),
        section("Description", block(json.dumps(rest, indent=2, ensure_ascii=False))),
    )


def _navigation() -> Markup:
    return Markup(f"<nav>Local SageMaker / {link(MODELS, 'Model versions')}</nav>")


def _who(context: dict[str, Any] | None) -> str:
    return str((context or {}).get("IamIdentity", {}).get("Arn", "-"))


def _moment(moment: float | None) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "-"
