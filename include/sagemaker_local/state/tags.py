"""Tags of any SageMaker resource, by its ARN."""

from __future__ import annotations

from typing import TypedDict

from include.sagemaker_local.state.store import Store

_KIND = "tags"


class Tag(TypedDict):
    """One tag, as AWS's API has it."""

    Key: str
    Value: str


def tags_of(store: Store, arn: str) -> list[Tag]:
    """The tags of a resource; none for one that was never tagged."""
    body = store.get(_KIND, arn)
    return list(body["Tags"]) if body else []


def put_tags(store: Store, arn: str, tags: list[Tag]) -> None:
    """Replace the tags of a resource."""
    store.put(_KIND, arn, {"Tags": tags})


def delete_all_tags(store: Store, arn: str) -> None:
    """Forget the tags of a resource that is deleted."""
    store.delete(_KIND, arn)
