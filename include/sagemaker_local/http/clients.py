"""boto3 clients that call the application without a socket."""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, cast
from urllib.parse import urlsplit

import boto3
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from include.sagemaker_local.http.types import Environ, Reply
from include.sagemaker_local.http.wsgi import SPOOL_BYTES, environ_of
from include.sagemaker_local.state.content import Content


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
                config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
                client: Any = cast("Any", self._session).client(service, endpoint_url=self._url, config=config)
                client.meta.events.register("before-send", self._send)
                self._clients[service] = client
            return self._clients[service]

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
    headers = [
        (name, value.decode("latin-1") if isinstance(value, bytes) else str(value))
        for name, value in request.headers.items()
    ]
    server = (url.hostname or "", url.port or 0)
    environ = environ_of(request.method, url.path, url.query, server, headers)
    environ |= {"HTTP_HOST": url.netloc, "CONTENT_LENGTH": str(body.seek(0, io.SEEK_END)), "wsgi.input": body}
    body.seek(0)
    return environ
