"""The metrics of a training job, found in what it prints; run as a script, the process that searches.

A regular expression of the user may take longer than the job (`(a+)+$`), and Python's engine stops every other thread
meanwhile. So the lines are written to a file, and searched at the end of the job in a process of its own, which gives
an expression up that needs more than SLOW_SECONDS of processor time for one line.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # this file runs as a script, without the project
    from mypy_boto3_sagemaker.type_defs import MetricDefinitionTypeDef

    from include.sagemaker_local.jobs.job import FinalMetric

log = logging.getLogger(__name__)

SLOW_SECONDS = 0.5
ALL_SECONDS = 300
"""For all lines and all expressions together; what was not found by then is lost."""


class Found(NamedTuple):
    """FinalMetricDataList, and the names of the metrics whose expressions were given up."""

    final: list[FinalMetric]
    slow: list[str]


class MetricSearch:
    """Keeps log lines for the definitions `{Name, Regex}` of a training job, if it has any."""

    def __init__(self, definitions: Iterable[MetricDefinitionTypeDef]) -> None:
        self._definitions = [(definition["Name"], definition["Regex"]) for definition in definitions]
        self._lines = tempfile.TemporaryFile() if self._definitions else None  # noqa: SIM115 - ends with the job

    def read(self, line: str) -> None:
        """Keep a line, and when it came."""
        if self._lines is not None:
            self._lines.write(f"{time.time()} {line}\n".encode("utf-8", "replace"))

    def search(self) -> Found:
        """The metrics of all lines; call it once, after the last one."""
        if self._lines is None:
            return Found([], [])
        self._lines.seek(0)
        command = [sys.executable, "-I", "-S", __file__, json.dumps(self._definitions)]
        try:
            done = subprocess.run(command, stdin=self._lines, capture_output=True, check=True, timeout=ALL_SECONDS)
            return Found(*json.loads(done.stdout))
        except (subprocess.SubprocessError, OSError, ValueError):
            log.exception("the metrics of a training job were not found")
            return Found([], [name for name, _ in self._definitions])


class _SlowError(Exception):
    """One search takes too long."""


class _Watch:
    """Ends a search that two ticks of the clock find at work. (Python's engine looks for signals while it searches.)"""

    def __init__(self) -> None:
        self.searches = 0
        self._seen = -1
        signal.signal(signal.SIGVTALRM, lambda *_: self._tick())
        signal.setitimer(signal.ITIMER_VIRTUAL, SLOW_SECONDS, SLOW_SECONDS)

    def _tick(self) -> None:
        if self._seen == self.searches:
            raise _SlowError
        self._seen = self.searches


def main(definitions: list[tuple[str, str]]) -> None:
    """Search standard input for the metrics, the last match counts, and print what was found as JSON."""
    watch = _Watch()
    values: dict[str, tuple[float, float]] = {}
    slow: list[str] = []
    for name, regex in definitions:
        sys.stdin.buffer.seek(0)
        try:
            _search(name, re.compile(regex), values, watch)
        except _SlowError:
            slow.append(name)
            values.pop(name, None)
    # As AWS keeps them: a number of single precision, at a whole second.
    final = [
        {"MetricName": name, "Value": ctypes.c_float(value).value, "Timestamp": int(at)}
        for name, (value, at) in values.items()
    ]
    sys.stdout.write(json.dumps([final, slow]))


def _search(name: str, pattern: re.Pattern[str], values: dict[str, tuple[float, float]], watch: _Watch) -> None:
    """Take the metric of every line; a match that is not a number is none."""
    for entry in sys.stdin.buffer:
        at, _, line = entry.decode().rstrip("\n").partition(" ")
        watch.searches += 1
        match = pattern.search(line)
        if match and pattern.groups:
            with contextlib.suppress(ValueError, TypeError):
                values[name] = float(match[1]), float(at)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
