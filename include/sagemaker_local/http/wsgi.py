"""Requests as the application sees them, and boto3 clients that call the application without a socket."""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from typing import IO, Any, cast
from urllib.parse import unquote_to_bytes, urlsplit

import boto3
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, should_preserve_original_header_name

from include.sagemaker_local.state.content import Content

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Headers = list[tuple[str, str]]
Reply = tuple[int, Headers, bytes]
"""Status, headers and body; the body may be a Content, which is on disk."""

_ACTION = re.compile(rb"(?:^|&)Action=(\w+)(?:&|$)")
_ACTION_WITHIN = 1024
SPOOL_BYTES = 8 * 1024 * 1024
"""Request bodies above this size wait on disk, not in memory."""


def asgi_environ(scope: dict[str, Any]) -> Environ:
    """The WSGI environ of an ASGI request, still without its body (`wsgi.input`, `CONTENT_LENGTH`).

    Adds what moto needs to see: the path before it was decoded, and metadata names with underscores. Other headers with
    underscores are left out: WSGI could not tell them from those with dashes.
    """
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1")
    environ = _basic_environ(scope["method"], path, query, scope["server"] or ("", 0))
    names = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = preserved = _preserved(name for name, _ in names)
    for name, value in names:
        key = _environ_key(name)
        if "_" not in name or key in preserved:
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("CONTENT_LENGTH", None)
    return environ


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


def _basic_environ(method: str, path: str, query: str, server: tuple[str, int]) -> Environ:
    return {
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


def _preserved(names: Iterable[str]) -> dict[str, str]:
    """WSGI name to real name of `x-amz-meta-my_key` headers: S3 tells - from _, WSGI does not."""
    return {_environ_key(name): name.lower() for name in names if should_preserve_original_header_name(name)}


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def call(app: WsgiApp, environ: Environ) -> Reply:
    """Run a WSGI application to its end."""
    start: list[Any] = []

    def start_response(status: str, headers: Headers, _: Any = None) -> Callable[[bytes], None]:
        start[:] = [int(status.split(" ", 1)[0]), headers]
        return lambda _: None

    chunks = app(environ, start_response)
    try:
        parts = list(chunks)
        body = parts[0] if len(parts) == 1 else b"".join(parts)  # one part may be a content that is on disk
    finally:
        if close := getattr(chunks, "close", None):
            close()
    return start[0], start[1], body


class Clients:
    """boto3 clients of this very server that call its application in the caller's thread.

    No socket and no server thread is used, so an operation may call other services however busy the server is.
    """

    def __init__(self, url: str, region: str, answer: Callable[[Environ], Reply]) -> None:
        self._url = url
        self._session = boto3.Session("local", "local", region_name=region)
        self._answer = answer
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of a service; made once, and safe to share between threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        client: Any = cast("Any", self._session).client(service, endpoint_url=self._url, config=config)
        client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        with _body(request) as body:
            status, headers, content = self._answer(_environ(request, body))
        raw = urllib3.HTTPResponse(
            io.BytesIO(content.read() if isinstance(content, Content) else content),
            urllib3.HTTPHeaderDict(headers),
            status,
            preload_content=False,
            request_method=request.method,
        )
        return AWSResponse(request.url, status, cast("Any", raw.headers), raw)


def _body(request: AWSPreparedRequest) -> IO[bytes]:
    """The request's body as a file of its own: what the caller gave may be a stream that can be read once."""
    body = request.body or b""
    if isinstance(body, str | bytes | bytearray):
        return io.BytesIO(body.encode() if isinstance(body, str) else body)
    file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115  (the caller closes it)
    shutil.copyfileobj(cast("IO[bytes]", body), file, 1 << 20)
    return file


def _environ(request: AWSPreparedRequest, body: IO[bytes]) -> Environ:
    url = urlsplit(request.url)
    headers = {
        name: value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    environ = _basic_environ(request.method, url.path, url.query, (url.hostname or "", url.port or 0))
    environ.update({_environ_key(name): value for name, value in headers.items()})
    body.seek(0, io.SEEK_END)
    environ.update(
        {
            "HTTP_HOST": url.netloc,
            "CONTENT_LENGTH": str(body.tell()),
            "wsgi.input": body,
            PRESERVED_HEADER_NAMES_ENVIRON_KEY: _preserved(headers),
        }
    )
    body.seek(0)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ
