"""What happened at an endpoint in a stretch of time, in little memory: counts, and latencies as a histogram."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

BUCKETS_PER_E = 100
"""Buckets of a histogram per factor e: each is 1 % wide, and so is the error of a percentile."""
SECONDS_KEPT = 600
MINUTES_KEPT = 180


@dataclass
class Distribution:
    """Latencies in microseconds: exact sum, minimum and maximum; percentiles to within 1 %."""

    sum: float = 0.0
    low: float = math.inf
    high: float = 0.0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        """One latency."""
        self.sum += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        self.buckets[int(math.log(max(value, 1.0)) * BUCKETS_PER_E)] += 1

    def merge(self, other: Distribution) -> None:
        """All latencies of another one."""
        self.sum += other.sum
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        self.buckets.update(other.buckets)

    def percentile(self, percent: float) -> float:
        """The value that this share of the latencies does not exceed."""
        rank = max(1, math.ceil(percent * self.buckets.total() / 100 - 1e-9))
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                middle = math.exp((bucket + 0.5) / BUCKETS_PER_E)
                return min(max(middle, self.low), self.high)
        raise ValueError("no latencies")


@dataclass
class Tally:
    """Invocations with their errors and latencies."""

    invocations: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    model: Distribution = field(default_factory=Distribution)
    overhead: Distribution = field(default_factory=Distribution)

    def add(self, status: int, model: float, overhead: float) -> None:
        """One invocation: the container's status, 0 when it did not answer, and its microseconds."""
        self.invocations += 1
        self.errors_4xx += 400 <= status < 500
        self.errors_5xx += status >= 500 or status == 0
        self.model.add(model)
        self.overhead.add(overhead)

    def merge(self, other: Tally) -> None:
        """All invocations of another one."""
        self.invocations += other.invocations
        self.errors_4xx += other.errors_4xx
        self.errors_5xx += other.errors_5xx
        self.model.merge(other.model)
        self.overhead.merge(other.overhead)


class History:
    """The tallies of the last three hours: per second for the last ten minutes, per minute before that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[tuple[int, Tally]] = deque()
        self._minutes: deque[tuple[int, Tally]] = deque(maxlen=MINUTES_KEPT)

    def add(self, at: float, status: int, model: float, overhead: float) -> None:
        """One invocation that ended at this time."""
        second = int(at)
        with self._lock:
            if not self._seconds or self._seconds[-1][0] < second:
                self._seconds.append((second, Tally()))
                self._condense(second - SECONDS_KEPT)
            self._seconds[-1][1].add(status, model, overhead)

    def _condense(self, before: int) -> None:
        while self._seconds[0][0] < before:
            second, tally = self._seconds.popleft()
            minute = second - second % 60
            if not self._minutes or self._minutes[-1][0] != minute:
                self._minutes.append((minute, Tally()))
            self._minutes[-1][1].merge(tally)

    def between(self, start: float, end: float) -> Tally:
        """What ended from `start` on and before `end`."""
        total = Tally()
        with self._lock:
            for at, tally in (*self._minutes, *self._seconds):
                if start <= at < end:
                    total.merge(tally)
        return total
