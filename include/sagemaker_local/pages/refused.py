"""The reply to a request that is refused before it has been read."""

from __future__ import annotations

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.errors import error_in_protocol, signing_service
from include.sagemaker_local.http.wsgi import Environ, Reply
from include.sagemaker_local.pages.html import Markup, page


def refused(environ: Environ, error: AwsError) -> Reply:
    """The error as a page for a browser, and in its protocol for a program."""
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        return page("Refused", Markup("<h1>Refused</h1>"), error.message, status=error.status)
    return error_in_protocol(environ, signing_service(environ), error)
