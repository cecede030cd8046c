"""Errors in the protocol of the service that was asked."""

from __future__ import annotations

import uuid
from functools import cache
from xml.sax.saxutils import escape

import botocore.session
from botocore.exceptions import UnknownServiceError

from include.sagemaker_local.control_plane import error_reply
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.web import Environ, Reply


def error_in_protocol(environ: Environ, service: str, error: AwsError) -> Reply:
    """The reply for an error; `service` is what the request was signed for, "" means S3."""
    content = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if service in ("", "s3"):
        return _xml(error, f"<Error>{content}<RequestId>{uuid.uuid4()}</RequestId></Error>")
    if service == "ec2":
        return _xml(error, f"<Response><Errors><Error>{content}</Error></Errors></Response>")
    if "urlencoded" in environ.get("CONTENT_TYPE", "") or _speaks_xml(service):
        return _xml(error, f"<ErrorResponse><Error><Type>Sender</Type>{content}</Error></ErrorResponse>")
    return error_reply(error)


def _xml(error: AwsError, content: str) -> Reply:
    return error.status, [("Content-Type", "application/xml")], content.encode()


@cache
def _speaks_xml(service: str) -> bool:
    try:
        return bool(botocore.session.get_session().get_service_model(service).metadata["protocol"] == "rest-xml")
    except UnknownServiceError:
        return False
