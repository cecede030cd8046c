"""Start processes that cannot outlive the stack, and end them, their children included."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from include.laptop.components import Component
from include.laptop.environment import MARKER
from include.laptop.layout import LOCAL, LOGS, ROOT

PR_SET_PDEATHSIG = 1


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
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (one thread only)
        )


def stop(running: list[tuple[Component, subprocess.Popen[bytes]]]) -> None:
    """Ask all groups at once, wait as long as each may take, kill what is left and whatever carries the mark."""
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
    kill(marked_processes())


def marked_processes() -> list[psutil.Process]:
    """Every process of this folder's stack but this one and its parents, found by the variable they all inherit."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in own and is_marked(process)]


def is_marked(process: psutil.Process) -> bool:
    """Whether the process carries this stack's mark; other users' processes do not tell, and do not matter."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == str(LOCAL))
    except (psutil.Error, OSError):
        return False


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
