"""HTTP: the web server in front of the application, and boto3 clients that call the application without a socket."""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable
from typing import IO, Any, cast
from urllib.parse import unquote_to_bytes, urlsplit

import boto3
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from cheroot import wsgi
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, should_preserve_original_header_name

from include.sagemaker_local.errors import AwsError

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Headers = list[tuple[str, str]]
Reply = tuple[int, Headers, bytes]

THREADS = 32
SPOOL_BYTES = 8 * 1024 * 1024
"""Request bodies above this size wait on disk, not in memory."""


class Gateway(wsgi.Gateway_10):
    """Adds to the environ what moto needs to see: the path before it was decoded, metadata names with underscores."""

    def get_environ(self) -> Environ:  # type: ignore[override]
        """The WSGI environ of the request."""
        environ: Environ = super().get_environ()  # type: ignore[no-untyped-call]
        environ["RAW_URI"] = environ["REQUEST_URI"]
        names = (key.decode("latin-1") for key in self.req.inheaders)
        environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = _preserved(names)
        return environ


def _preserved(names: Iterable[str]) -> dict[str, str]:
    """WSGI name to real name of `x-amz-meta-my_key` headers: S3 tells - from _, WSGI does not."""
    return {_environ_key(name): name.lower() for name in names if should_preserve_original_header_name(name)}


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def web_server(host: str, port: int, app: WsgiApp) -> wsgi.Server:
    """A server that listens already (so that a port in use is an OSError here) but does not answer yet."""
    server = wsgi.Server((host, port), app, numthreads=THREADS, request_queue_size=128, timeout=60, shutdown_timeout=1)
    server.gateway = Gateway
    server.keep_alive_conn_limit = 256
    try:
        server.prepare()
    except OSError as error:
        raise OSError(
            f"port {port} of {host} is not free: stop what listens there (`ss -ltnp 'sport = :{port}'` shows it) or "
            f"choose another one with --port"
        ) from error
    return server


def read_body(environ: Environ) -> IO[bytes]:
    """Take the whole request body off the connection, as a seekable file; replaces `wsgi.input`.

    Raises AwsError when the client goes away in the middle: half an object must not become an object.
    """
    body = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115  (the caller closes it)
    length = environ.get("CONTENT_LENGTH")
    if length or environ.get("wsgi.input_terminated"):
        shutil.copyfileobj(environ["wsgi.input"], body, 1 << 20)
    if length and body.tell() < int(length):
        message = f"The body has {body.tell()} bytes, not the {length} of its Content-Length."
        body.close()
        raise AwsError("IncompleteBody", message)
    environ["CONTENT_LENGTH"] = str(body.tell())
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    body.seek(0)
    environ["wsgi.input"] = body
    return body


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

    def __init__(self, url: str, region: str, app: WsgiApp) -> None:
        self._url = url
        self._session = boto3.Session("local", "local", region_name=region)
        self._app = app
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
        status, headers, body = call(self._app, _environ(request))
        raw = urllib3.HTTPResponse(
            io.BytesIO(body),
            urllib3.HTTPHeaderDict(headers),
            status,
            preload_content=False,
            request_method=request.method,
        )
        return AWSResponse(request.url, status, cast("Any", raw.headers), raw)


def _environ(request: AWSPreparedRequest) -> Environ:
    url = urlsplit(request.url)
    target = url.path + (f"?{url.query}" if url.query else "")
    headers = {
        name: value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    body = request.body or b""
    if isinstance(body, str):
        body = body.encode()
    environ: Environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path or "/").decode("latin-1"),
        "QUERY_STRING": url.query,
        "RAW_URI": target,
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": str(url.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body) if isinstance(body, bytes | bytearray) else body,
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        PRESERVED_HEADER_NAMES_ENVIRON_KEY: _preserved(headers),
    }
    environ.update({_environ_key(name): value for name, value in headers.items()})
    return environ
