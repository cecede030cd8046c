"""The reply to a request that is refused before it has been read."""

from __future__ import annotations

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.errors import error_in_protocol, signing_service
from include.sagemaker_local.http.types import Environ, Reply
from include.sagemaker_local.pages.render import page


def refused(environ: Environ, error: AwsError) -> Reply:
    """The error as a page for a browser, and in its protocol for a program."""
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        return page("message.html", error.status, heading="Refused", message=error.message)
    return error_in_protocol(environ, signing_service(environ), error)
