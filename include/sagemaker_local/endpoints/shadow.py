"""A shadow variant: gets copies of an endpoint's requests, in threads of its own; its answers go to nobody."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from include.sagemaker_local.containers.model_server import Serving

log = logging.getLogger(__name__)

WORKERS = 4
DRAIN_SECONDS = 5
MOST_WAITING = 256
"""Copies beyond these are left out: a shadow that is slower than production must not fill the memory."""


class Shadow:
    """The shadow variant of one deployment."""

    def __init__(self, name: str, server: Serving) -> None:
        self.name = name
        self.server = server
        self._share = 0.0
        self._room = threading.Semaphore(MOST_WAITING)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=f"shadow-{name}")

    def weigh(self, weights: dict[str, float]) -> None:
        """Copy the share of requests that is this variant's weight to that of production; at most all."""
        own, production = weights.get(self.name, 0.0), sum(weights.values()) - weights.get(self.name, 0.0)
        self._share = min(1.0, own / production) if production else float(own > 0)

    def offer(self, copy: Callable[[], None]) -> None:
        """Have `copy` called soon, if this request is one of the share. Never waits and never raises."""
        if random.random() >= self._share or not self._room.acquire(blocking=False):  # noqa: S311 - sampling
            return
        if not self.server.acquire():
            self._room.release()
            return
        self._pool.submit(self._run, copy)

    def _run(self, copy: Callable[[], None]) -> None:
        try:
            copy()
        except Exception:
            log.exception("the copy of a request to shadow variant %s", self.name)
        finally:
            self.server.release()
            self._room.release()

    def stop(self, drain_seconds: float) -> None:
        """End the container after the copies that wait; a slow shadow loses some rather than holding up an update."""
        self.server.stop(min(drain_seconds, DRAIN_SECONDS))
        self._pool.shutdown(wait=False, cancel_futures=True)
