"""`python -m include.laptop.stack {up,down}`: what `make up` and `make down` run."""

from __future__ import annotations

import sys
import time

from include.laptop.layout import LOGS, LaptopError
from include.laptop.stack import seeds
from include.laptop.stack.command_lines import aws_cli, project_cli
from include.laptop.stack.environment import USERS
from include.laptop.stack.lifecycle import start, stop_running
from include.laptop.stack.stack_file import running_stack


def up() -> None:
    """Start in the background and say where; a second call says that it is up already."""
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
        f"Decisions        Required Actions in Airflow, or {project_cli(sagemaker)} status <model> (approve, reject)\n"
        f"Logs in {LOGS}; make down stops it.\n"
    )


def down() -> None:
    """Stop what is up."""
    sys.stdout.write("Stopped.\n" if stop_running() else "Nothing was running.\n")


def main(arguments: list[str]) -> int:
    """The exit status."""
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
