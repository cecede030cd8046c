"""Requests and replies of services that speak AWS JSON 1.1."""

from __future__ import annotations

import json
from typing import Any

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ, Reply


def json_request(environ: Environ) -> Any:
    """The members of a request; the caller knows which there may be. Raises AwsError unless it is a JSON object."""
    try:
        request = json.loads(environ["wsgi.input"].read() or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", f"The request body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise AwsError("SerializationException", "The request body is not a JSON object.")
    return request


def json_reply(content: object) -> Reply:
    """The reply to a request that succeeded."""
    return 200, [("Content-Type", "application/x-amz-json-1.1")], json.dumps(content).encode()
