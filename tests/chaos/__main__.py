"""`python -m tests.chaos [FAULT …]`: all faults, or those named."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path


def interrupt(signum: int, frame: object) -> None:
    """End in order, as after Ctrl-C."""
    raise KeyboardInterrupt


def main(names: list[str]) -> int:
    """The folder of the stack is decided before the laptop's modules read it."""
    os.environ.setdefault("RETRAINING_LOCAL", str(Path(__file__).resolve().parents[2] / ".local" / "chaos"))
    from tests.chaos.suite import run_suite

    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)  # a line per fault, also into a pipe
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        return run_suite(names)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; everything is stopped.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
