"""Calls that AWS must refuse, and what it answers."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def error_response(call: Any, *args: Any, **options: Any) -> dict[str, Any]:
    """The error response of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(*args, **options)
    return dict(caught.value.response)


def refused(call: Any, **request: Any) -> tuple[str, str]:
    """Code and message of the error of a call that must fail."""
    error = error_response(call, **request)["Error"]
    return error["Code"], error["Message"]
