"""Errors in the protocol that the caller's service speaks, so that every SDK reads code and message."""

from __future__ import annotations

import json
import re
import uuid
from xml.sax.saxutils import escape

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ, Reply

_REST_XML = ("", "s3", "s3control", "route53", "cloudfront")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def error_reply(error: AwsError) -> Reply:
    """An error in AWS JSON 1.1 (the header also serves REST-JSON clients)."""
    content = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("x-amzn-RequestId", str(uuid.uuid4())),
        ("x-amzn-ErrorType", error.code),
    ]
    return error.status, headers, json.dumps(content).encode()


def error_in_protocol(environ: Environ, service: str, error: AwsError) -> Reply:
    """An error for a client of `service` (its signing name; "": unsigned, which S3 answers)."""
    form = "urlencoded" in environ.get("CONTENT_TYPE", "")
    if "HTTP_X_AMZ_TARGET" in environ or not (form or service in _REST_XML):
        return error_reply(error)
    content = f"<Code>{error.code}</Code><Message>{escape(_CONTROL.sub(' ', error.message))}</Message>"
    request_id = f"<RequestId>{uuid.uuid4()}</RequestId>"
    if service in ("", "s3"):
        content = f"<Error>{content}{request_id}</Error>"
    elif service == "ec2":
        content = f"<Response><Errors><Error>{content}</Error></Errors>{request_id}</Response>"
    else:
        content = f"<ErrorResponse><Error><Type>Sender</Type>{content}</Error>{request_id}</ErrorResponse>"
    return error.status, [("Content-Type", "application/xml")], content.encode(errors="replace")


def signing_service(environ: Environ) -> str:
    """The service a request was signed for (`s3`, `sagemaker`, …), "" when it is not signed."""
    scope = re.search(r"Credential=[^/]*/\d+/[^/]*/([^/]+)/aws4_request", environ.get("HTTP_AUTHORIZATION", ""))
    return scope[1].lower() if scope else ""
