"""The parent of all processes of the stack. It starts them, watches them, and ends with all of them.

`python -m include.laptop.stack.supervisor` is a child of `make run`: it stops when its standard input closes, which
the kernel does when the driver ends in whatever way. With `--detached` (`make up`) it stops on SIGTERM.
On standard output it writes one JSON object per line, a Message.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from typing import TypedDict

from include.laptop.layout import AIRFLOW_HOME, LOGS, STACK_FILE, Addresses, LaptopError, addresses, hold_folder
from include.laptop.stack.components import (
    Component,
    airflow,
    airflow_components,
    healthy_components,
    sagemaker_component,
)
from include.laptop.stack.environment import process_environment, write_passwords
from include.laptop.stack.processes import log_tail, start, stop
from include.laptop.stack.stack_file import write_stack_file

START_SECONDS = 180
LOOK_EVERY = 0.2


class Message(TypedDict, total=False):
    """A line of the supervisor: a component is `ready` after so many `seconds`, all are `up`, or why it `failed`."""

    ready: str
    seconds: float
    up: bool
    failed: str


class StopRequested(Exception):
    """The driver has gone, or a signal came."""


class Supervisor:
    """Owns the processes. `lifeline` is the standard input to watch, None when detached."""

    def __init__(self, where: Addresses, lifeline: int | None) -> None:
        self.where = where
        self.lifeline = lifeline
        self.environment = process_environment(where)
        self.running: list[tuple[Component, subprocess.Popen[bytes]]] = []
        self.started = time.monotonic()
        self.announced: set[str] = set()

    def run(self) -> None:
        """Start everything, then watch until told to stop. Raises LaptopError when a process ends by itself."""
        try:
            self.launch(sagemaker_component(self.where))
            self.migrate()
            for component in airflow_components():
                self.launch(component)
            wanted = {component.name for component, _ in self.running}
            while not wanted <= self.announced:
                self.pause()
                self.announce()
                if time.monotonic() - self.started > START_SECONDS:
                    missing = ", ".join(sorted(wanted - self.announced))
                    raise LaptopError(f"Not well after {START_SECONDS} s: {missing}; logs in {LOGS}.")
            write_stack_file(self.where, detached=self.lifeline is None)
            say({"up": True})
            while True:
                self.pause()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            STACK_FILE.unlink(missing_ok=True)
            stop(self.running)

    def launch(self, component: Component) -> None:
        """Start one process."""
        self.running.append((component, start(component, self.environment)))

    def migrate(self) -> None:
        """Bring Airflow's database to this version of Airflow; a stamp saves the five seconds that asking takes."""
        stamp = AIRFLOW_HOME / "migrated-to"
        if stamp.exists() and stamp.read_text() == version("apache-airflow"):
            return
        migration = Component("airflow-db-migrate", airflow("db", "migrate"), signal.SIGKILL, patience=1)
        process = start(migration, self.environment)
        self.running.append((migration, process))
        while process.poll() is None:
            self.pause()
            self.announce()
        self.running.pop()
        if process.returncode:
            raise LaptopError(f"Airflow's database could not be made:\n{log_tail(LOGS / migration.log_name)}")
        stamp.write_text(version("apache-airflow"))
        say({"ready": "Airflow's database", "seconds": round(time.monotonic() - self.started, 1)})

    def announce(self) -> None:
        """Say who has become well."""
        for name in sorted(healthy_components(self.where) - self.announced):
            self.announced.add(name)
            say({"ready": name, "seconds": round(time.monotonic() - self.started, 1)})

    def pause(self) -> None:
        """Wait a moment. Raises StopRequested when the driver has gone, LaptopError when a process has."""
        readable, _, _ = select.select([] if self.lifeline is None else [self.lifeline], [], [], LOOK_EVERY)
        if readable and not os.read(readable[0], 1024):
            raise StopRequested
        for component, process in self.running:
            if process.poll() is not None and component.name != "airflow-db-migrate":
                raise LaptopError(
                    f"{component.name} ended with status {process.returncode}:\n{log_tail(LOGS / component.log_name)}"
                )


def say(message: Message) -> None:
    """One line for whoever started the supervisor, if there still is anyone."""
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def request_stop(signum: int, frame: object) -> None:
    """Signal handler."""
    raise StopRequested


def main(arguments: list[str]) -> int:
    """Exit status 0 when it was told to stop, 1 when the stack could not start or a process ended."""
    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    write_passwords()
    detached = "--detached" in arguments
    try:
        with hold_folder():
            Supervisor(addresses(), None if detached else sys.stdin.fileno()).run()
    except StopRequested:
        return 0
    except LaptopError as error:
        say({"failed": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
