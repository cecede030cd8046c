"""Models, endpoint configurations and endpoints by their names: AWS words what is missing, or there already, alike."""

from __future__ import annotations

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError, validation_error
from include.sagemaker_local.operations.table import Request

MODEL, CONFIG, ENDPOINT = "model", "endpoint-config", "endpoint"
_NOUNS = {MODEL: "model", CONFIG: "endpoint configuration", ENDPOINT: "endpoint"}


def require(context: Context, kind: str, name: str) -> Request:
    """The stored resource; ValidationException when there is none."""
    body: Request | None = context.store.get(kind, name)
    if body is None:
        raise not_found(context, kind, name)
    return body


def not_found(context: Context, kind: str, name: str) -> AwsError:
    """There is no resource of this name."""
    return validation_error(f'Could not find {_NOUNS[kind]} "{context.arn(kind, name)}".')


def already_exists(context: Context, kind: str, name: str) -> AwsError:
    """There is a resource of this name."""
    return validation_error(f'Cannot create already existing {_NOUNS[kind]} "{context.arn(kind, name)}".')
