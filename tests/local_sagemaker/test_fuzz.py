"""Ten thousand requests that nobody would write: none may break the server, none may wait, none may stay in memory."""

from __future__ import annotations

import http.client
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.fuzz_kit import Made, Maker

REQUESTS = 10_000
WARM_UP = 2_000
AT_ONCE = 8
PATIENCE_SECONDS = 20
GROWTH_BYTES = 100_000_000
"""What the requests create (roles, log groups, queues) may take; a leak of bodies would take gigabytes."""


def send(server: LocalSageMaker, made: Made) -> int:
    """The reply's status; 0 when the connection was closed without one, which only malformed bytes may see."""
    if made.raw:
        return _send_raw(server, made.raw)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(made.method, made.path, made.body, made.headers)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()


def _send_raw(server: LocalSageMaker, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        content = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(65536):
                content += block
        except TimeoutError:
            raise
        except OSError:
            pass  # it was refused, and the connection closed, before all was sent
    status = re.match(rb"HTTP/1.1 (\d+)", content)
    return int(status[1]) if status else 0


def trouble(server: LocalSageMaker, maker: Maker, number: int) -> tuple[int, str]:
    """The status of the n-th request, and what is wrong with it, if anything."""
    made = maker.make(number)
    started = time.monotonic()
    try:
        status = send(server, made)
    except (OSError, http.client.HTTPException) as error:
        return 0, f"request {number} had no answer ({error!r}): {made}"[:600]
    seconds = time.monotonic() - started
    if status >= 500 and status != 501:
        return status, f"request {number} was answered with {status}: {made}"[:600]
    return status, f"request {number} took {seconds:.0f} s: {made}"[:600] if seconds > PATIENCE_SECONDS else ""


@pytest.mark.slow
def test_ten_thousand_requests(make_sagemaker_local: Callable[..., LocalSageMaker]) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(10**6))
    print(f"FUZZ_SEED={seed}")  # noqa: T201  (so that a failure can be seen again)
    server = make_sagemaker_local().start()
    server.client("s3").create_bucket(Bucket="fuzz")
    server.client("s3").put_object(Bucket="fuzz", Key="key", Body=b"content")
    maker, found, statuses = Maker(seed), [], Counter[int]()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for numbers in (range(WARM_UP), range(WARM_UP, REQUESTS)):
            before = server.health()["memory_rss_bytes"]
            for status, wrong in threads.map(trouble, repeat(server), repeat(maker), numbers):
                statuses[status] += 1
                found += [wrong] if wrong else []
    grown = server.health()["memory_rss_bytes"] - before
    print(f"{sorted(statuses.items())}, memory grew by {grown / 1e6:.0f} MB")  # noqa: T201
    assert found == [], f"FUZZ_SEED={seed}, {len(found)} of {REQUESTS}, the first:\n" + "\n".join(found[:20])
    assert grown < GROWTH_BYTES, f"FUZZ_SEED={seed}"
    assert server.stop() == 0
