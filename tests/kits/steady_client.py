"""A client that asks an endpoint at a steady rate, whatever happens to it, and remembers every answer."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import wait_for


class SteadyClient(threading.Thread):
    """Sends the rows "1", "2", "3", … one after the other, as CSV, while it is used as a context manager."""

    def __init__(self, server: LocalSageMaker, endpoint: str, per_second: float) -> None:
        super().__init__(daemon=True)
        self.endpoint = endpoint
        self.answers: dict[int, float] = {}
        self.errors: dict[int, Exception] = {}
        self._runtime = server.client("sagemaker-runtime")
        self._pause_seconds = 1 / per_second
        self._stopped = threading.Event()

    @property
    def sent(self) -> int:
        """Requests that have ended, one way or the other."""
        return len(self.answers) + len(self.errors)

    def factors(self, after: int = 0) -> list[float]:
        """What each answer is of its row, in order, from the rows after this one: tells which model gave it."""
        return [answer / row for row, answer in sorted(self.answers.items()) if row > after]

    def wait_for(self, more: int, seconds: float = 120) -> None:
        """Until this many more requests have ended."""
        goal = self.sent + more
        wait_for(lambda: self.sent >= goal, f"{more} more requests", seconds)

    def run(self) -> None:
        """The thread."""
        row, due = 0, time.monotonic()
        while not self._stopped.is_set():
            row += 1
            self._ask(row)
            # A slow answer delays the next requests; up to a second of them is made up for.
            due = max(due + self._pause_seconds, time.monotonic() - 1)
            self._stopped.wait(max(0.0, due - time.monotonic()))

    def _ask(self, row: int) -> None:
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self.endpoint, ContentType="text/csv", Accept="text/csv", Body=str(row)
            )
            self.answers[row] = float(answer["Body"].read())
        except (ClientError, BotoCoreError, ValueError) as error:
            self.errors[row] = error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopped.set()
        self.join()
