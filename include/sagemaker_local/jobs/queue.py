"""How many jobs run at once: the others wait for their turn, as jobs on AWS wait for an instance."""

from __future__ import annotations

import threading
from typing import Protocol


class Waiting(Protocol):
    """A job in the queue."""

    def wake(self) -> None: ...


class JobQueue:
    """The jobs of one kind, in the order they came; the first `running` of them run."""

    def __init__(self, running: int) -> None:
        self._running = running
        self._lock = threading.Lock()
        self._jobs: list[Waiting] = []

    def enter(self, job: Waiting) -> bool:
        """Join the end of the queue; True when the job may run at once."""
        with self._lock:
            self._jobs.append(job)
            return len(self._jobs) <= self._running

    def admits(self, job: Waiting) -> bool:
        """Whether it is the job's turn; once it is, it stays so until the job leaves."""
        with self._lock:
            return job in self._jobs[: self._running]

    def leave(self, job: Waiting) -> None:
        """End the job's turn, or its wait. A job that is not in the queue is ignored."""
        with self._lock:
            if job not in self._jobs:
                return
            self._jobs.remove(job)
            admitted = self._jobs[: self._running]
        for other in admitted:
            other.wake()
