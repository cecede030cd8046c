"""Filtering, sorting and paging: what every List* operation does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.operations.table import Request, Response

Body = Mapping[str, Any]
"""A stored resource of any kind."""
DEFAULT_PAGE = 10
"""What AWS returns without MaxResults."""
_TIMES = {
    "CreationTimeAfter": ("CreationTime", True),
    "CreationTimeBefore": ("CreationTime", False),
    "LastModifiedTimeAfter": ("LastModifiedTime", True),
    "LastModifiedTimeBefore": ("LastModifiedTime", False),
}


def page(
    request: Request,
    bodies: Sequence[Body],
    *,
    member: str,
    name: str,
    status: str = "",
) -> Response:
    """One page of resources, as `{member: [...], "NextToken": …}`.

    `bodies` come oldest first, as the store lists them; `name` and `status` are the body's members that NameContains,
    StatusEquals and SortBy Name and Status mean. Newest first unless SortBy or SortOrder say otherwise. What a
    list entry does not have, the output shape drops.
    """
    chosen = [body for body in bodies if _matches(request, body, name, status)]
    by = request.get("SortBy", "CreationTime")
    if by in ("Name", "Status"):
        chosen.sort(key=lambda body: str(body[status if by == "Status" and status else name]))
    else:
        chosen.sort(key=lambda body: _moment(body, by))
    if request.get("SortOrder", "Descending") == "Descending":
        chosen.reverse()
    start = _offset(request)
    end = start + int(request.get("MaxResults", DEFAULT_PAGE))
    response: dict[str, object] = {member: chosen[start:end]}
    if end < len(chosen):
        response["NextToken"] = base64.urlsafe_b64encode(str(end).encode()).decode()
    return response


def _matches(request: Request, body: Body, name: str, status: str) -> bool:
    if request.get("NameContains", "") not in body[name]:
        return False
    if status and "StatusEquals" in request and body[status] != request["StatusEquals"]:
        return False
    for option, (member, after) in _TIMES.items():
        if option in request:
            limit, moment = epoch(request[option]), _moment(body, member)
            if moment < limit if after else moment > limit:
                return False
    return True


def _moment(body: Body, member: str) -> float:
    """A time of a body, to the millisecond that clients see; never modified counts as modified when created."""
    moment: float = body[member] if member in body else body["CreationTime"]
    return round(moment, 3)


def _offset(request: Request) -> int:
    token = request.get("NextToken")
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        raise validation_error(f"The provided NextToken {token} is not valid.") from None


def epoch(moment: float | str) -> float:
    """A timestamp of a request as epoch seconds: AWS JSON sends numbers, some clients ISO 8601."""
    if isinstance(moment, str):
        parsed = datetime.fromisoformat(moment)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    return moment
