"""From a connection to the application and back: bodies to disk, work to the threads of its kind, replies in pieces."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import IO, cast

from include.sagemaker_local.errors import AwsError, NoAnswerError
from include.sagemaker_local.http.guard import Guard, secured
from include.sagemaker_local.http.types import Environ, Headers, Receive, Reply, Scope, Send
from include.sagemaker_local.http.wsgi import SPOOL_BYTES, asgi_environ
from include.sagemaker_local.state.content import Content

PIECE_BYTES = 256 * 1024
BODY_SECONDS = 60
"""A client that sends or takes nothing for so long is given up."""
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset({"content-length", "transfer-encoding", "connection"})


class Pool(Enum):
    """The thread pools: each kind of work has one of its own, so that none can hold up another."""

    CONTROL = "control"
    """Health and switches: no wait in them."""
    ANSWERS = "answers"
    """SageMaker's operations, pages, and moto, which does one thing at a time anyway."""
    INVOCATIONS = "invocations"
    """Wait for a model, which may itself ask this server."""
    WAITS = "waits"
    """Wait for something to happen: long polls of queues."""


THREADS = {Pool.CONTROL: 2, Pool.ANSWERS: 16, Pool.INVOCATIONS: 128, Pool.WAITS: 128}
"""At most; they are started when they are needed."""


class _GoneError(Exception):
    """The client has closed the connection."""


class Application:
    """The ASGI application.

    Args:
        guard: decides which requests are answered.
        answer: makes the reply of a WSGI environ, on a thread of the pool that `pool_of` names.
        refuse: makes the reply to a request that is refused before it has been read.
    """

    def __init__(
        self,
        guard: Guard,
        answer: Callable[[Environ], Reply],
        pool_of: Callable[[Environ], Pool],
        refuse: Callable[[Environ, AwsError], Reply],
    ) -> None:
        self._guard = guard
        self._answer = answer
        self._pool_of = pool_of
        self._refuse = refuse
        self._threads = {pool: ThreadPoolExecutor(count, pool.value) for pool, count in THREADS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        environ = asgi_environ(scope)
        closing: Headers = []
        try:
            status, headers, content = await self._reply(environ, receive)
        except AwsError as error:
            status, headers, content = self._refuse(environ, error)
            closing = [("Connection", "close")]  # the rest of its body is not read
        except _GoneError:
            return
        except NoAnswerError:
            scope["abort"]()
            while (await receive())["type"] != "http.disconnect":
                continue
            return
        bodiless = environ["REQUEST_METHOD"] == "HEAD" or status in (204, 304)
        head = [*_head(headers, content, status, bodiless), *closing]
        await send({"type": "http.response.start", "status": status, "headers": _encoded(secured(head))})
        try:
            await _transmit(b"" if bodiless else content, send)
        except (TimeoutError, OSError):
            scope["abort"]()

    async def _reply(self, environ: Environ, receive: Receive) -> Reply:
        """Raises AwsError for a request that is refused before it has been read."""
        self._guard.check(environ)
        body = await _received(receive)
        size = body.tell()
        body.seek(0)
        environ.update({"wsgi.input": body, "CONTENT_LENGTH": str(size)})
        try:
            threads = self._threads[self._pool_of(environ)]
            return await asyncio.get_running_loop().run_in_executor(threads, self._answer, environ)
        finally:
            body.close()


async def _received(receive: Receive) -> IO[bytes]:
    """The whole body, in memory or on disk. Raises _GoneError: half an object must not become an object."""
    body = cast("IO[bytes]", tempfile.SpooledTemporaryFile(SPOOL_BYTES))  # noqa: SIM115  (the caller closes it)
    waiting, size, more = bytearray(), 0, True
    while more:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await receive()
        except TimeoutError:
            raise AwsError(
                "RequestTimeout",
                "Your socket connection to the server was not read from or written to within the timeout period.",
            ) from None
        if message["type"] != "http.request":
            body.close()
            raise _GoneError
        waiting += message["body"]
        size, more = size + len(message["body"]), message["more_body"]
        if not more or len(waiting) >= 4 * PIECE_BYTES:
            if size > SPOOL_BYTES:  # a disk may be slow, and everybody waits for the event loop
                await asyncio.to_thread(body.write, waiting)
            else:
                body.write(waiting)
            waiting = bytearray()
    return body


def _head(headers: Headers, content: bytes, status: int, bodiless: bool) -> Headers:
    """The reply's headers with the length that will be sent; of HEAD with the one that GET would have."""
    length = next((value for name, value in headers if name.lower() == "content-length"), None)
    if length is None or not bodiless:
        length = str(len(content))
    others = [(name, value) for name, value in headers if name.lower() not in _OURS]
    return others if length is None or status == 204 else [*others, ("Content-Length", length)]


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Text of others (metadata, a container's headers) must not become a header of its own, nor end the reply."""
    clean = ((name, _NOT_IN_A_HEADER.sub(" ", value)) for name, value in headers)
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in clean]


async def _transmit(content: bytes, send: Send) -> None:
    """Send the body, waiting for the client between pieces, so that no second copy of it piles up.

    Raises TimeoutError for a client that takes nothing, OSError when a content on disk cannot be read.
    """
    if isinstance(content, Content):
        blocks = content.blocks()
        while block := await asyncio.to_thread(next, blocks, b""):
            await _patiently(send, block)
    elif len(content) > PIECE_BYTES:
        for start in range(0, len(content), PIECE_BYTES):
            await _patiently(send, content[start : start + PIECE_BYTES])
    else:
        await send({"type": "http.response.body", "body": content})
        return
    await send({"type": "http.response.body", "body": b""})


async def _patiently(send: Send, piece: bytes) -> None:
    async with asyncio.timeout(BODY_SECONDS):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
