"""One asynchronous request: from the HTTP request to its row in the store, and the notification of its end."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from include.sagemaker_local.containers.transfers import join
from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ, Reply
from include.sagemaker_local.s3_uri import split_s3

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws

MAX_INLINE_BYTES = 128_000
MAX_INCLUDED_BYTES = 128 * 1024
"""The largest answer that a notification includes."""
_SECONDS = {"RequestTTLSeconds": (60, 21_600, 21_600), "InvocationTimeoutSeconds": (1, 3_600, 900)}
"""Least, most and default."""
_PASSED_ON = {
    "Content-Type": "Content-Type",
    "Accept": "Accept",
    "Custom-Attributes": "X-Amzn-SageMaker-Custom-Attributes",
}


class AsyncRequest(TypedDict):
    """A request as the store keeps it until it is answered."""

    Id: str
    Endpoint: str
    InferenceId: str
    ReceivedTime: float
    InputLocation: str | None
    Inline: str
    """The body in base64; empty when there is an InputLocation."""
    Headers: dict[str, str]
    """Of the request to the container."""
    RequestTTLSeconds: int
    InvocationTimeoutSeconds: int
    OutputLocation: str | None
    FailureLocation: str | None
    Notification: aws.AsyncInferenceNotificationConfigOutputTypeDef
    KmsKeyId: str | None


@dataclass(frozen=True)
class Outcome:
    """An answer, or why there is none. `lost`: the container went away with the request."""

    body: bytes
    content_type: str
    failure: str | None = None
    lost: bool = False


def failed(reason: str, body: bytes | None = None, content_type: str = "text/plain", *, lost: bool = False) -> Outcome:
    """A failure; its object in S3 is what the model answered, or the reason."""
    return Outcome(reason.encode() if body is None else body, content_type, reason, lost)


def parse(endpoint: str, environ: Environ, body: bytes, config: aws.AsyncInferenceConfigOutputTypeDef) -> AsyncRequest:
    """InvokeEndpointAsync's headers and body . Raises ValidationError."""

    def given(name: str) -> str | None:
        value: str | None = environ.get("HTTP_X_AMZN_SAGEMAKER_" + name.upper().replace("-", "_"))
        return value

    location = given("InputLocation")
    if bool(location) == bool(body):
        raise AwsError("ValidationError", "Exactly one of InputLocation and Body must be given.")
    if len(body) > MAX_INLINE_BYTES:
        raise AwsError("ValidationError", f"Body has {len(body)} bytes; at most {MAX_INLINE_BYTES} are possible.")
    if location and not (location.startswith("s3://") and all(split_s3(location))):
        raise AwsError("ValidationError", f"InputLocation {location} is not of the form s3://bucket/key.")
    identity = str(uuid.uuid4())
    inference_id = given("Inference-Id") or str(uuid.uuid4())
    headers = {real: value for name, real in _PASSED_ON.items() if (value := given(name))}
    output = config["OutputConfig"]
    file = given("Filename") or f"{identity}.out"
    folder = (given("S3OutputPathExtension") or "").strip("/")
    failure = output.get("S3FailurePath")
    return {
        "Id": identity,
        "Endpoint": endpoint,
        "InferenceId": inference_id,
        "ReceivedTime": time.time(),
        "InputLocation": location,
        "Inline": base64.b64encode(body).decode(),
        "Headers": {
            "Content-Type": "application/octet-stream",
            "Accept": "*/*",
            **headers,
            "X-Amzn-SageMaker-Inference-Id": inference_id,
        },
        "RequestTTLSeconds": _seconds("RequestTTLSeconds", given("RequestTTLSeconds")),
        "InvocationTimeoutSeconds": _seconds("InvocationTimeoutSeconds", given("InvocationTimeoutSeconds")),
        "OutputLocation": _below(output.get("S3OutputPath"), folder, file),
        "FailureLocation": join(failure, f"{identity}-error.out") if failure else None,
        "Notification": output.get("NotificationConfig", {}),
        "KmsKeyId": output.get("KmsKeyId"),
    }


def _below(path: str | None, folder: str, file: str) -> str | None:
    return join(path, f"{folder}/{file}" if folder else file) if path else None


def _seconds(name: str, value: str | None) -> int:
    least, most, default = _SECONDS[name]
    if value is None:
        return default
    if not value.isdigit() or not least <= int(value) <= most:
        raise AwsError("ValidationError", f"{name} {value} is not a number from {least} to {most}.")
    return int(value)


def accepted(request: AsyncRequest) -> Reply:
    """The HTTP answer to InvokeEndpointAsync."""
    headers = [("Content-Type", "application/json")]
    locations = {name: request[name] for name in ("OutputLocation", "FailureLocation")}
    headers += [(f"X-Amzn-SageMaker-{name}", location) for name, location in locations.items() if location]
    return 202, headers, json.dumps({"InferenceId": request["InferenceId"]}).encode()


def payload_of(ctx: Context, request: AsyncRequest) -> bytes:
    """The input: sent along, or from S3. Raises botocore's errors."""
    if not request["InputLocation"]:
        return base64.b64decode(request["Inline"])
    bucket, key = split_s3(request["InputLocation"])
    content: bytes = ctx.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def notification(request: AsyncRequest, outcome: Outcome, region: str) -> str:
    """The message to the success or the error topic."""
    location = None if outcome.failure else request["OutputLocation"]
    parameters = {
        "accept": request["Headers"]["Accept"],
        "contentType": request["Headers"]["Content-Type"],
        "endpointName": request["Endpoint"],
        "inputLocation": request["InputLocation"],
    }
    message: dict[str, object] = {
        "awsRegion": region,
        "eventTime": _moment(time.time()),
        "receivedTime": _moment(request["ReceivedTime"]),
        "invocationStatus": "Failed" if outcome.failure else "Completed",
        "failureReason": outcome.failure,
        "requestParameters": {name: value for name, value in parameters.items() if value},
        "responseParameters": location and {"contentType": outcome.content_type, "outputLocation": location},
        "inferenceId": request["InferenceId"],
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    topic = "ERROR_NOTIFICATION_TOPIC" if outcome.failure else "SUCCESS_NOTIFICATION_TOPIC"
    wanted = topic in request["Notification"].get("IncludeInferenceResponseIn", ())
    if wanted and len(outcome.body) <= MAX_INCLUDED_BYTES:
        message["responseBody"] = {"content": base64.b64encode(outcome.body).decode(), "encoding": "BASE64"}
    return json.dumps({name: value for name, value in message.items() if value is not None})


def _moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
