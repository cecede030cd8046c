"""The metrics of a training job, found in what it prints."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable
from typing import Any


class Metrics:
    """Finds metrics in log lines, by the definitions `{Name, Regex}` of a training job; the last match counts."""

    def __init__(self, definitions: Iterable[dict[str, str]]) -> None:
        self._patterns = [(definition["Name"], re.compile(definition["Regex"])) for definition in definitions]
        self._values: dict[str, tuple[float, float]] = {}

    def read(self, line: str) -> None:
        """Take the metrics of one line; a match that is not a number is none."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if match and pattern.groups:
                with contextlib.suppress(ValueError, TypeError):
                    self._values[name] = (float(match[1]), time.time())

    @property
    def final(self) -> list[dict[str, Any]]:
        """The FinalMetricDataList."""
        return [{"MetricName": name, "Value": value, "Timestamp": at} for name, (value, at) in self._values.items()]
