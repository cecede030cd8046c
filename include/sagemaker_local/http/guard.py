"""Protects a server that runs commands from web pages: every request is checked before it is answered.

A page in the developer's browser reaches 127.0.0.1 as any program does. What it cannot do is choose its own
`Host`, `Origin`, `Sec-Fetch-*` and `User-Agent`, so these decide. Programs (boto3, the AWS CLI, curl) may do all,
a browser may only open pages of the control API, and a host name that was not allowed is refused (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ, Headers

ROOT = "/_local/"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.IGNORECASE)
_MOTO_API = re.compile(r"/+moto-api(/|$)")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
"""Of every reply: it is neither framed nor loaded by other pages, and an object of S3 that is HTML runs no script."""


class Guard:
    """Refuses what a web page could have sent. `names`: its host names beside localhost and addresses."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = ("localhost", *(name.lower() for name in names))

    def check(self, environ: Environ) -> None:
        """Raise AwsError (status 400, 403, 404 or 405) unless the request may be answered. Looks at no body."""
        self._check_host(environ.get("HTTP_HOST", ""))
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if "HTTP_ORIGIN" in environ:
            raise _denied(f"A page at {environ['HTTP_ORIGIN']} may not use the local SageMaker; programs may.")
        if _is_browser(environ) and not _opens_page(environ, method, path):
            raise _denied(f"A browser may open the pages below {ROOT} of the local SageMaker, and nothing else of it.")
        if method == "OPTIONS":
            message = "OPTIONS is not possible: the local SageMaker shares nothing with web pages (no CORS)."
            raise AwsError("MethodNotAllowed", message, status=405)
        if _MOTO_API.match(path):
            raise AwsError("AccessDenied", "moto's own API is closed.", status=404)

    def _check_host(self, host: str) -> None:
        """An address cannot be rebound to another one; a name can, so only known ones pass, on whatever port."""
        found = _HOST.fullmatch(host)
        if not found:
            raise AwsError("InvalidRequest", f"The Host header {host!r} is not one host.")
        name = found[1].lower().rstrip(".")
        if _is_address(name) or any(name == known or name.endswith(f".{known}") for known in self._names):
            return
        raise _denied(
            f"The local SageMaker does not answer under the name {name}; use its address, or start it with "
            f"--allow-host {name} if the name is its own."
        )


def secured(headers: Headers) -> Headers:
    """A reply's headers for a world with browsers: no CORS, whoever set it, and the policies it did not set itself."""
    allowed = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
    present = {name.lower() for name, _ in allowed}
    return allowed + [(name, value) for name, value in _HEADERS.items() if name.lower() not in present]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_browser(environ: Environ) -> bool:
    """Browsers send Sec-Fetch-* to loopback and HTTPS only; elsewhere, and in old ones, the User-Agent tells."""
    return "HTTP_SEC_FETCH_SITE" in environ or environ.get("HTTP_USER_AGENT", "").startswith("Mozilla/")


def _opens_page(environ: Environ, method: str, path: str) -> bool:
    """A person's look at a page, by address or by link: in a tab of its own, not in a frame, picture or script."""
    alone = environ.get("HTTP_SEC_FETCH_DEST", "document") == "document"
    navigates = environ.get("HTTP_SEC_FETCH_MODE", "navigate") == "navigate"
    return method in ("GET", "HEAD") and path.startswith(ROOT) and alone and navigates


def _denied(message: str) -> AwsError:
    return AwsError("AccessDenied", message, status=403)
