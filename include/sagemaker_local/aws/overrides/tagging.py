"""The Resource Groups Tagging API: tagged resources of SageMaker beside those of the services behind it.

https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html. moto's own would load every
service it has and does not know SageMaker's resources here.
"""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypedDict, cast

from moto import backends as moto_backends

from include.sagemaker_local.aws.overrides.json_protocol import json_reply, json_request
from include.sagemaker_local.aws.persistence.state import PERSISTED
from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError, unsupported_operation
from include.sagemaker_local.http.types import Environ, Reply


class TagFilter(TypedDict, total=False):
    """A key, and the values of which one is wanted."""

    Key: str
    Values: list[str]


class ResourcesRequest(TypedDict, total=False):
    """What GetResources is asked here."""

    TagFilters: list[TagFilter]
    ResourceTypeFilters: list[str]
    ResourceARNList: list[str]
    ResourcesPerPage: int
    PaginationToken: str


Tags = dict[str, str]
_MOST = 100
_KNOWN = tuple(ResourcesRequest.__annotations__)


def get_resources(context: Context, environ: Environ, _: Callable[[Environ], Reply]) -> Reply:
    """The tagged resources that the filters let through, in the order of their ARNs."""
    request = _request(environ)
    found = sorted((arn, tags) for arn, kind, tags in _all(context) if _wanted(request, arn, kind, tags))
    after, size = _after(request.get("PaginationToken")), request.get("ResourcesPerPage", 50)
    left = [(arn, tags) for arn, tags in found if arn > after]
    page = left[:size]
    mappings = [
        {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        for arn, tags in page
    ]
    token = base64.urlsafe_b64encode(page[-1][0].encode()).decode() if len(left) > size else ""
    return json_reply({"ResourceTagMappingList": mappings, "PaginationToken": token})


def _request(environ: Environ) -> ResourcesRequest:
    """The request, checked. Raises AwsError."""
    request: ResourcesRequest = json_request(environ)
    for name in set(request) - set(_KNOWN):
        raise unsupported_operation(f"GetResources with {name}")
    if not 1 <= request.get("ResourcesPerPage", 50) <= _MOST:
        raise _invalid(f"ResourcesPerPage must be between 1 and {_MOST}")
    others = [name for name in _KNOWN if request.get(name) and name != "ResourceARNList"]
    if request.get("ResourceARNList") and others:
        raise _invalid(f"ResourceARNList cannot be specified together with {', '.join(others)}")
    for item in request.get("TagFilters", []):
        if not item.get("Key"):
            raise _invalid("a TagFilter must have a Key")
    return request


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def _after(token: str | None) -> str:
    """The ARN that the page before ended with."""
    try:
        return base64.urlsafe_b64decode(token).decode() if token else ""
    except (binascii.Error, UnicodeDecodeError) as error:
        raise AwsError("PaginationTokenExpiredException", "The PaginationToken is not valid.") from error


def _wanted(request: ResourcesRequest, arn: str, kind: str, tags: Tags) -> bool:
    if not tags:
        return False
    if request.get("ResourceARNList"):
        return arn in request["ResourceARNList"]
    kinds = request.get("ResourceTypeFilters", [])
    if kinds and kind not in kinds and kind.split(":", maxsplit=1)[0] not in kinds:
        return False
    return all(
        item["Key"] in tags and (not item.get("Values") or tags[item["Key"]] in item["Values"])
        for item in request.get("TagFilters", [])
    )


def _all(context: Context) -> Iterator[tuple[str, str, Tags]]:
    """ARN, type such as `sagemaker:training-job`, and tags of every resource."""
    for arn, body in context.store.items("tags"):
        yield arn, f"sagemaker:{arn.split(':')[5].split('/')[0]}", {tag["Key"]: tag["Value"] for tag in body["Tags"]}
    for service in PERSISTED:
        if f"moto.{service}.models" in sys.modules:
            regions = dict.get(cast("Any", moto_backends.get_backend)(service), context.settings.account, {})
            for region, backend in list(dict.items(regions)):
                if region in ("aws", context.settings.region) and hasattr(backend, "iter_tagged_resources"):
                    for resource in backend.iter_tagged_resources():
                        yield resource.arn, resource.resource_type, dict(resource.tags)
