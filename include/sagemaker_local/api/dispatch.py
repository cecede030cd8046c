"""The control plane: answers `X-Amz-Target: SageMaker.<Operation>` in AWS JSON 1.1."""

from __future__ import annotations

import json
import logging
import uuid
from functools import cache
from typing import IO, Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from include.sagemaker_local.api.validation import validate
from include.sagemaker_local.errors import AwsError, unsupported_operation
from include.sagemaker_local.http.errors import error_reply
from include.sagemaker_local.http.types import Reply
from include.sagemaker_local.operations.table import OPERATIONS, OperationContext, Request, Response

log = logging.getLogger(__name__)
TARGET = "SageMaker."
MAX_CALL_BYTES = 16 * 1024 * 1024
"""Of a call of SageMaker's API or the control API. AWS's own limit is not documented; no valid request comes near."""


@cache
def service_model() -> ServiceModel:
    """botocore's description of SageMaker's API."""
    return botocore.session.get_session().get_service_model("sagemaker")


def answer(context: OperationContext, operation: str, body: IO[bytes]) -> Reply:
    """The HTTP reply to one call. Never raises: what goes wrong is an error reply, and logged if it is our fault."""
    try:
        response = _perform(context, operation, call_body(body))
    except AwsError as error:
        return error_reply(error)
    except Exception:
        log.exception("%s failed", operation)
        return error_reply(internal_failure())
    return _reply(200, response)


def call_body(body: IO[bytes]) -> bytes:
    """The body of a call. Raises AwsError for one of more than `MAX_CALL_BYTES`."""
    content = body.read(MAX_CALL_BYTES + 1)
    if len(content) > MAX_CALL_BYTES:
        message = f"The request has more than {MAX_CALL_BYTES} bytes."
        raise AwsError("RequestEntityTooLargeException", message, status=413)
    return content


def _perform(context: OperationContext, operation: str, body: bytes) -> Response:
    model = _operation_model(operation)
    request = _parsed(body, model)
    function = OPERATIONS.get(operation)
    if function is None:
        raise unsupported_operation(operation)
    response = function(context, _without_nulls(request))
    return _filtered(response, model.output_shape) if model.output_shape else {}


def _parsed(body: bytes, model: OperationModel) -> Request:
    """The request, checked. Raises AwsError."""
    try:
        request: Request = json.loads(body or b"{}")
        validate(request, model.input_shape)
    except ValueError as error:
        raise AwsError("SerializationException", f"The request body is not JSON: {error}") from error
    except RecursionError as error:
        raise AwsError("SerializationException", "The request body is nested too deeply.") from error
    return request


def _operation_model(operation: str) -> OperationModel:
    model = service_model()
    if operation not in model.operation_names:
        raise AwsError("UnknownOperationException", f"SageMaker has no operation {operation}.")
    return model.operation_model(operation)


def _without_nulls(value: Any) -> Any:
    """JSON null members mean "not given"."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _filtered(value: Any, shape: Shape) -> Any:
    """Only what the output shape knows, so that a stored body may hold more than the API shows; times in whole ms."""
    if isinstance(shape, StructureShape):
        return {
            name: _filtered(member, shape.members[name])
            for name, member in value.items()
            if name in shape.members and member is not None
        }
    if isinstance(shape, ListShape):
        return [_filtered(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: _filtered(item, shape.value) for key, item in value.items()}
    return round(value, 3) if shape.type_name == "timestamp" else value


def internal_failure() -> AwsError:
    """What the caller sees of a bug; the log has the rest."""
    message = "The request processing has failed because of an unknown error; the log of the local SageMaker has it."
    return AwsError("InternalFailure", message, status=500)


def _reply(status: int, content: Response) -> Reply:
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", str(uuid.uuid4()))]
    return status, headers, json.dumps(content).encode()
