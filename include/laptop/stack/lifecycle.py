"""Start, find and stop the stack: Airflow and the local SageMaker. Behind `make up`, `make down` and `make run`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from include.laptop.layout import LOGS, ROOT, STACK_FILE, Addresses, LaptopError, addresses, hold_folder
from include.laptop.stack import seeds
from include.laptop.stack.components import SAGEMAKER
from include.laptop.stack.ports import check_ports
from include.laptop.stack.processes import kill, log_tail, marked_processes
from include.laptop.stack.stack_file import running_stack
from include.laptop.stack.supervisor import Message

STOP_SECONDS = 45
Say = Callable[[str, float], None]
"""Told what has become ready, and after how many seconds."""
Check = Callable[[Addresses], None]
"""Called as soon as the data are in their bucket; what it raises ends the start."""


@dataclass
class Stack:
    """A running stack. `supervisor` is its parent process when this process started it, else None."""

    where: Addresses
    supervisor: subprocess.Popen[str] | None = None

    def stop(self) -> None:
        """End what this process started; a stack that was there before stays."""
        if self.supervisor is None:
            return
        assert self.supervisor.stdin is not None  # noqa: S101 (Popen was given PIPE)
        self.supervisor.stdin.close()
        try:
            self.supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            kill(marked_processes())


def check_not_in_use() -> None:
    """Raise LaptopError while another `make run` has a stack of its own in this folder: it will stop it at its end."""
    description = running_stack()
    if description is not None and not description["detached"]:
        raise LaptopError("Another make run is using this folder: wait until it has ended.")


def attach_or_start(models: list[str], say: Say, check: Check) -> Stack:
    """The stack that is up, or a new one that ends with this process; with the data of the models in its bucket."""
    description = running_stack()
    if description is None:
        return start(models, say, check, detached=False)
    where = Addresses(description["airflow_port"], description["sagemaker_port"])
    seeds.seed(where, models, say)
    check(where)
    return Stack(where)


def start(models: list[str], say: Say, check: Check | None = None, *, detached: bool) -> Stack:
    """Start all processes, put the models' data into the bucket meanwhile, return when all are well.

    Raises LaptopError, with nothing left running, when one does not start.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    with hold_folder():
        kill(marked_processes())
        STACK_FILE.unlink(missing_ok=True)
        where = addresses()
        check_ports(where)
    supervisor = spawn_supervisor(detached)
    stack = Stack(where, supervisor)

    def seed() -> None:
        seeds.seed(where, models, say)
        if check:
            check(where)

    try:
        follow(supervisor, seed, say)
    except BaseException:
        if detached:
            supervisor.terminate()
        stack.stop()
        raise
    return stack


def spawn_supervisor(detached: bool) -> subprocess.Popen[str]:
    """The supervisor in a session of its own, so that Ctrl-C reaches only the driver, which then stops it in order."""
    with (LOGS / "supervisor.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "include.laptop.stack.supervisor", *(["--detached"] if detached else [])],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def follow(supervisor: subprocess.Popen[str], when_sagemaker_is_ready: Callable[[], None], say: Say) -> None:
    """Read what the supervisor says until all is up. Raises LaptopError with its reason when it fails."""
    assert supervisor.stdout is not None  # noqa: S101 (Popen was given PIPE)
    for line in supervisor.stdout:
        message: Message = json.loads(line)
        if "failed" in message:
            raise LaptopError(message["failed"])
        if "up" in message:
            return
        say(message["ready"], message["seconds"])
        if message["ready"] == SAGEMAKER:
            when_sagemaker_is_ready()
    raise LaptopError(f"The stack did not start:\n{log_tail(LOGS / 'supervisor.log')}")


def stop_running() -> bool:
    """Stop the stack of this folder, also what is left of a broken one. False when there was nothing."""
    description = running_stack()
    if description is not None:
        supervisor = psutil.Process(description["supervisor"])
        supervisor.send_signal(signal.SIGTERM)
        psutil.wait_procs([supervisor], timeout=STOP_SECONDS)
    left = marked_processes()
    kill(left)
    STACK_FILE.unlink(missing_ok=True)
    return bool(description or left)
