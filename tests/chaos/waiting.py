"""Waiting on conditions, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from botocore.exceptions import BotoCoreError

T = TypeVar("T")
LOOK_EVERY = 0.3


class NotHeld(Exception):
    """What should hold under a fault does not."""


def require(condition: object, message: str) -> None:
    """Raise NotHeld unless the condition is true."""
    if not condition:
        raise NotHeld(message)


def until(what: str, condition: Callable[[], T | None], seconds: float) -> T:
    """What the condition returns as soon as that is true. Raises NotHeld after so many seconds.

    A server that does not answer (it may have been killed) counts as not yet.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except (httpx.TransportError, BotoCoreError):
            pass
        if time.monotonic() > deadline:
            raise NotHeld(f"not within {seconds:g} s: {what}")
        time.sleep(LOOK_EVERY)
