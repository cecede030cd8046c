"""Requests in the form that WSGI applications such as moto read, and how such an application is run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import IO
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, should_preserve_original_header_name
from werkzeug.test import run_wsgi_app

from include.sagemaker_local.http.types import Environ, Reply, Scope

_ACTION = re.compile(rb"(?:^|&)Action=(\w+)(?:&|$)")
_ACTION_WITHIN = 1024
SPOOL_BYTES = 8 * 1024 * 1024
"""Request bodies above this size wait on disk, not in memory."""


def asgi_environ(scope: Scope) -> Environ:
    """The WSGI environ of an ASGI request, still without its body (`wsgi.input`, `CONTENT_LENGTH`)."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return environ_of(scope["method"], path, query, scope["server"] or ("", 0), headers)


def environ_of(
    method: str, path: str, query: str, server: tuple[str, int], headers: Iterable[tuple[str, str]]
) -> Environ:
    """The WSGI environ of a request, without its body.

    Adds what moto needs to see: the path before it was decoded, and metadata names with underscores. Other headers with
    underscores are left out: WSGI could not tell them from those with dashes. werkzeug's `EnvironBuilder` is no help
    here: it reads a path that begins with `//` as a host, and replaces bytes of a path that are not UTF-8.
    """
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path or "/").decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": path + (f"?{query}" if query else ""),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    preserved: dict[str, str] = {}
    for name, value in headers:
        key = _environ_key(name)
        if should_preserve_original_header_name(name):  # `x-amz-meta-my_key`: S3 tells - from _, WSGI does not
            preserved[key] = name.lower()
        if "_" not in name or key in preserved:
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = preserved
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("CONTENT_LENGTH", None)
    return environ


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def operation_of(environ: Environ) -> str:
    """The operation's name (`ReceiveMessage`) in the JSON protocols, and in the query protocol; "" of the others."""
    if target := environ.get("HTTP_X_AMZ_TARGET", ""):
        return str(target).rpartition(".")[2]
    if "urlencoded" not in environ.get("CONTENT_TYPE", ""):
        return ""
    body: IO[bytes] = environ["wsgi.input"]
    action = _ACTION.search(body.read(_ACTION_WITHIN))
    body.seek(0)
    return action[1].decode() if action else ""


def call(application: WSGIApplication, environ: Environ) -> Reply:
    """Run a WSGI application to its end."""
    pieces, status, headers = run_wsgi_app(application, environ, buffered=True)
    parts = list(pieces)
    body = parts[0] if len(parts) == 1 else b"".join(parts)  # one part may be a content that is on disk
    return int(status.split(" ", 1)[0]), list(headers), body
