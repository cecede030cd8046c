"""Pages about model versions for people: `/_local/models`, and `/_local/models/<group>/<version>`."""

from __future__ import annotations

from include.sagemaker_local.context import Context
from include.sagemaker_local.http.types import Reply
from include.sagemaker_local.operations.registry import PACKAGE
from include.sagemaker_local.pages.render import page

MODELS = "/_local/models"
_TRAIL = {"address": MODELS, "label": "Model versions"}
_ELSEWHERE = frozenset(
    {"CustomerMetadataProperties", "CreatedBy", "LastModifiedBy", "CreationTime", "LastModifiedTime"}
)
"""Members that a version's page shows above its description."""


def answer_models_page(context: Context, path: str) -> Reply:
    """The page at a path at or below `MODELS`; a page that says so, with status 404, when there is no such version."""
    name = path.removeprefix(MODELS).strip("/")
    if not name:
        return page("models.html", trail=_TRAIL, packages=context.store.list(PACKAGE)[::-1])
    package = context.store.get(PACKAGE, name)
    if package is None:
        message = f"{name} does not exist."
        return page("message.html", 404, trail=_TRAIL, heading="No such version", message=message)
    rest = {key: value for key, value in package.items() if key not in _ELSEWHERE and not key.startswith("_")}
    return page("model_version.html", trail=_TRAIL, name=name, package=package, description=rest)
