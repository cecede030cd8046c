"""Start, find and stop the stack: Airflow and the local SageMaker. Behind `make up`, `make down` and `make run`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from include.laptop.layout import LOGS, REGION, ROOT, STACK_FILE, Addresses, LaptopError, addresses, hold_folder
from include.laptop.run.reviewer import command
from include.laptop.stack import seeds
from include.laptop.stack.components import SAGEMAKER
from include.laptop.stack.environment import USERS
from include.laptop.stack.ports import check_ports
from include.laptop.stack.processes import kill, log_tail, marked_processes

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


def running_stack() -> dict[str, Any] | None:
    """What `.local/stack.json` says, when its supervisor is alive."""
    try:
        description: dict[str, Any] = json.loads(STACK_FILE.read_text())
        supervisor = psutil.Process(description["supervisor"])
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    return description if "include.laptop.stack.supervisor" in supervisor.cmdline() else None


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
    seeds.sow(where, models, say)
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

    def sow() -> None:
        seeds.sow(where, models, say)
        if check:
            check(where)

    try:
        follow(supervisor, sow, say)
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
        message = json.loads(line)
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


def up() -> None:
    """`make up`: start in the background and say where; a second call says that it is up already."""
    description = running_stack()
    if description is not None:
        sys.stdout.write(f"It is up already.\n{welcome(description['airflow'], description['sagemaker'])}")
        return
    started = time.monotonic()

    def say(name: str, seconds: float) -> None:
        sys.stdout.write(f"  {name} is ready after {seconds:.1f} s\n")
        sys.stdout.flush()

    stack = start(seeds.models_with_data(), say, detached=True)
    sys.stdout.write(f"Up after {time.monotonic() - started:.0f} s.\n")
    sys.stdout.write(welcome(stack.where.airflow, stack.where.sagemaker))


def welcome(airflow: str, sagemaker: str) -> str:
    """Addresses and logins."""
    logins = ", ".join(f"{name}/{name} ({role})" for name, role in USERS.items())
    return (
        f"Airflow          {airflow}   user/password: {logins}\n"
        f"local SageMaker  {sagemaker}   its jobs: {sagemaker}/_local/jobs\n"
        f"AWS CLI          {aws_cli(sagemaker)} sagemaker list-training-jobs\n"
        f"Decisions        Required Actions in Airflow, or {command(sagemaker)} status <model> (approve, reject)\n"
        f"Logs in {LOGS}; make down stops it.\n"
    )


def aws_cli(sagemaker: str) -> str:
    """The AWS CLI pointed at the local SageMaker; any credentials will do."""
    variables = {
        "AWS_ENDPOINT_URL": sagemaker,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    return " ".join(["env", *(f"{name}={value}" for name, value in variables.items()), "aws"])


def down() -> None:
    """`make down`."""
    sys.stdout.write("Stopped.\n" if stop_running() else "Nothing was running.\n")


def main(arguments: list[str]) -> int:
    """`python -m include.laptop.stack.lifecycle {up,down}`."""
    try:
        {"up": up, "down": down}[arguments[0]]()
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    except KeyboardInterrupt:
        stop_running()
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
