"""The web server: uvicorn on a thread of its own, with limits on what a connection may send, and on its idleness."""

from __future__ import annotations

import asyncio
import socket
import threading

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from include.sagemaker_local.http.types import ASGIApp

HEAD_BYTES = 64 * 1024
"""Most bytes of a request's first line and headers. S3 refuses more than 8 KB of headers; signed URLs may be longer."""
IDLE_SECONDS = 60
"""A connection on which no request begins, or a head does not end, is closed."""
STOP_SECONDS = 1


class _Protocol(HttpToolsProtocol):
    """uvicorn's parser of one connection; adds the limits, and `abort` to the scope of each request."""

    _head_bytes = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)  # a header without end is not given to on_header
        if self._head_bytes > HEAD_BYTES:
            self.send_400_response("The head of the request is too long.")
        else:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(IDLE_SECONDS, self.timeout_keep_alive_handler)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._check_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._check_head(len(name) + len(value))

    def _check_head(self, size: int) -> None:
        """Raise ValueError, which the parser takes for a malformed request (status 400), when there is too much."""
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            raise ValueError("the head of the request is too long")

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()


class HttpServer:
    """Listens already (so that a port in use is an OSError here) but answers only after `start`.

    Connections cost no thread: one event loop reads requests and writes replies.
    """

    def __init__(self, host: str, port: int, app: ASGIApp) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=2048)
        except OSError as error:
            raise OSError(
                f"port {port} of {host} is not free: stop what listens there (`ss -ltnp 'sport = :{port}'` shows it) "
                f"or choose another one with --port"
            ) from error
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web", daemon=True)

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; replies that are under way have a second."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()
