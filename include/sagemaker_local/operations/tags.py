"""Tags of any SageMaker resource."""

from __future__ import annotations

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.operations.table import Request, Response, operation
from include.sagemaker_local.state.tags import Tag, put_tags, tags_of

MAX_TAGS = 50


def save_tags(context: Context, arn: str, request: Request) -> None:
    """Keep the `Tags` of a Create request for the resource it made. Raises ValidationException for a repeated key."""
    if request.get("Tags"):
        check_tags(request["Tags"])
        put_tags(context.store, arn, request["Tags"])


def check_tags(tags: list[Tag]) -> None:
    """Raise ValidationException when a key comes twice; call it before the resource is made."""
    keys = [tag["Key"] for tag in tags]
    for key in keys:
        if keys.count(key) > 1:
            raise validation_error(f"Duplicate tag keys found. Please remove the duplicates and try again: {key}")
        if key.lower().startswith("aws:"):
            raise validation_error(f"aws: prefixed tag key names are not allowed for external use: {key}")


@operation("AddTags")
def add_tags(context: Context, request: Request) -> Response:
    """Add tags, replacing those of the same key."""
    arn = request["ResourceArn"]
    check_tags(request["Tags"])
    _require_resource(context, arn)
    merged = {tag["Key"]: tag for tag in [*tags_of(context.store, arn), *request["Tags"]]}
    if len(merged) > MAX_TAGS:
        raise validation_error(f"The resource {arn} cannot have more than {MAX_TAGS} tags.")
    put_tags(context.store, arn, list(merged.values()))
    return {"Tags": list(merged.values())}


@operation("ListTags")
def list_tags(context: Context, request: Request) -> Response:
    """All tags of a resource, on one page: there are at most 50."""
    _require_resource(context, request["ResourceArn"])
    return {"Tags": tags_of(context.store, request["ResourceArn"])}


@operation("DeleteTags")
def delete_tags(context: Context, request: Request) -> Response:
    """Remove tags by key; keys the resource does not have are ignored."""
    arn = request["ResourceArn"]
    _require_resource(context, arn)
    remaining = [tag for tag in tags_of(context.store, arn) if tag["Key"] not in request["TagKeys"]]
    put_tags(context.store, arn, remaining)
    return {}


def _require_resource(context: Context, arn: str) -> None:
    """Raise ValidationException unless the ARN is of something that exists here."""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if not arn.startswith(context.arn(kind, "")) or context.store.get(kind, name) is None:
        raise validation_error(f"The resource {arn} does not exist.")
    if kind == "model-package" and "/" in name:
        raise validation_error(
            "Tags are not supported for model package versions; tag the model package group instead."
        )
