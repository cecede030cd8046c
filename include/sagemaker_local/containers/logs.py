"""A job's output in CloudWatch Logs, under AWS's names."""

from __future__ import annotations

import logging
import threading
import time

from include.sagemaker_local.context import Context

log = logging.getLogger(__name__)

DELAY_SECONDS = 0.25
"""How long lines are collected before they are sent together."""
MAX_EVENTS = 5_000
MAX_CHARACTERS = 60_000
"""CloudWatch takes 256 KB an event; a character is at most 4 bytes."""


class LogStream:
    """One log stream, fed line by line; sending happens in a thread of its own so that no job waits for it."""

    def __init__(self, ctx: Context, group: str, stream: str) -> None:
        self._ctx, self._names = ctx, {"logGroupName": group, "logStreamName": stream}
        self._changed = threading.Condition()
        self._events: list[dict[str, int | str]] = []
        self._last = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"logs-{stream}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Add a line. Empty lines are left out: CloudWatch takes no empty message."""
        for start in range(0, len(line), MAX_CHARACTERS) if line.strip() else ():
            with self._changed:
                self._last = max(self._last, int(time.time() * 1000))
                self._events.append({"timestamp": self._last, "message": line[start : start + MAX_CHARACTERS]})
                self._changed.notify()

    def close(self) -> None:
        """Send what is left; afterwards everything written is in CloudWatch."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._create()
            while events := self._next():
                for start in range(0, len(events), MAX_EVENTS):
                    batch = events[start : start + MAX_EVENTS]
                    self._ctx.client("logs").put_log_events(**self._names, logEvents=batch)
        except Exception:
            log.exception("the log stream %s is cut off", self._names["logStreamName"])

    def _create(self) -> None:
        client = self._ctx.client("logs")
        with_group = {"logGroupName": self._names["logGroupName"]}
        for create, names in ((client.create_log_group, with_group), (client.create_log_stream, self._names)):
            try:
                create(**names)
            except client.exceptions.ResourceAlreadyExistsException:
                continue

    def _next(self) -> list[dict[str, int | str]]:
        """The lines of the next batch, oldest first; none when the stream is closed and all are sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed)
            self._changed.wait_for(lambda: self._closed, DELAY_SECONDS)
            events, self._events = self._events, []
            return events
