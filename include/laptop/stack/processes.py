"""Start processes that cannot outlive the stack, and end them, their children included."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import psutil

from include.laptop.layout import LOCAL, LOGS, ROOT
from include.laptop.stack.components import Component
from include.laptop.stack.environment import MARKER

PR_SET_PDEATHSIG = 1
STARTER = "RETRAINING_STARTER"
"""Every process that `start` starts, and every child of it, carries this variable."""
OURS = uuid.uuid4().hex
"""Its value: another one in each process that starts a stack, of which one folder may see several at once."""


def end_with_parent() -> None:
    """In the child: be sent SIGTERM should the supervisor be killed (Linux; elsewhere `make down` cleans up)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(component: Component, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start in a process group of its own, output into its log. To be called from the main thread only: the kernel
    takes the end of the thread that forked for the end of the parent."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / component.log_name).open("wb") as log:
        return subprocess.Popen(
            component.command,
            env={**environment, STARTER: OURS},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (one thread only)
        )


def stop(running: list[tuple[Component, subprocess.Popen[bytes]]]) -> None:
    """Ask all groups at once, wait as long as each may take, kill what is left of them and of what they started.

    What somebody else started stays, also in the same folder: a test or a benchmark must not end a `make up`.
    """
    asked = time.monotonic()
    for component, process in running:
        if process.poll() is None:
            os.killpg(process.pid, component.stop_signal)
    for component, process in running:
        remaining = max(0.0, asked + component.patience - time.monotonic())
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(remaining)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    kill(with_variable(STARTER, OURS))


def marked_processes() -> list[psutil.Process]:
    """Every process of this folder's stack, whoever started it: for those who hold the folder, and `make down`."""
    return with_variable(MARKER, str(LOCAL))


def with_variable(name: str, value: str) -> list[psutil.Process]:
    """Every process that carries the variable, but this one and its parents.

    Other users' processes do not tell, and do not matter.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}

    def carries(process: psutil.Process) -> bool:
        try:
            return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(name) == value)
        except (psutil.Error, OSError):
            return False

    return [process for process in psutil.process_iter() if process.pid not in own and carries(process)]


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL, and wait until they are gone."""
    victims = list(processes)
    for process in victims:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(victims, timeout=5)


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
