"""`python -m include.aws_smoke <environment>`: what `make aws-smoke ENV=…` runs. Exit status 1: it went wrong."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from include.aws_smoke.chain import MINUTES, Chain, SmokeError
from include.aws_smoke.cleanup import Cleanup
from include.aws_smoke.plan import TRANSFORM_INSTANCE, Smoke, smoke
from include.aws_smoke.recorder import Recorder
from include.aws_smoke.recording import FORMAT, About
from include.aws_smoke.redact import Redactor
from sagemaker_retraining.config import ConfigError, EnvironmentConfig

RECORDINGS = Path(os.environ.get("RETRAINING_LOCAL", ".local"), "aws-smoke")
YES = "yes"


def main(arguments: list[str]) -> int:
    """Say what will be done and what it costs, ask, do it, and delete what was made."""
    if len(arguments) != 1 or not arguments[0]:
        say("Name the environment: make aws-smoke ENV=prod (a file of include/environments/).")
        return 2
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        run = smoke(arguments[0])
        clients = clients_of(run)
        identity = clients("sts").get_caller_identity()
    except (ConfigError, BotoCoreError, ClientError) as error:
        say(f"Nothing was started: {error}")
        return 1
    if identity["Account"] != run.environment.account:
        say(
            f"Nothing was started: these credentials are of account {identity['Account']}, and "
            f"include/environments/{run.environment.environment}.yaml names {run.environment.account}."
        )
        return 1
    say(announcement(run, identity["Arn"]))
    if not agreed():
        say("Nothing was started.")
        return 1
    return carry_out(run, clients)


def agreed() -> bool:
    """Whether the person writes yes."""
    try:
        return input("Spend that? Write yes: ").strip().lower() == YES
    except (EOFError, KeyboardInterrupt):
        return False


def announcement(run: Smoke, who: str) -> str:
    """What will be done, where, as whom, and what it costs in instance-minutes."""
    where, requests = run.environment, run.requests
    instances = {
        "preprocess": requests["preprocess"]["ProcessingResources"]["ClusterConfig"]["InstanceType"],
        "train": requests["train"]["ResourceConfig"]["InstanceType"],
        "transform": TRANSFORM_INSTANCE,
        "endpoint": requests["deploy"]["endpoint_config"]["ProductionVariants"][0]["InstanceType"],
    }
    lines = [
        f"Smoke test aws-smoke-{run.id} in {where.environment}: account {where.account}, {where.region}, as {who}",
        f"  makes objects below s3://{where.bucket}/{run.prefix}, three jobs, a model package group with one version,",
        "  a model, endpoint configs and one endpoint; sends some 40 requests that SageMaker should refuse;",
        "  deletes what it made, also after a failure or Ctrl-C (records of transform jobs stay: they cost nothing)",
        *(f"  {step:<10} {instances[step]:<14} about {minutes:>2} minutes" for step, minutes in MINUTES.items()),
        f"  together about {sum(MINUTES.values())} instance-minutes, and some 40 minutes of time",
    ]
    return "\n".join(lines)


def carry_out(run: Smoke, clients: Callable[[str], Any]) -> int:
    """Run the chain with a recording, clean up, and say what is left."""
    where, now = run.environment, datetime.now(UTC)
    file = RECORDINGS / f"{where.environment}-{now:%Y%m%dT%H%M%S}-{run.id}.jsonl"
    about: About = {
        "format": FORMAT,
        "environment": where.environment,
        "region": where.region,
        "made": now.isoformat(timespec="seconds"),
    }
    recorder = Recorder(file, clients, Redactor(where.account, where.bucket, roles_of(where)), about)
    cleanup = Cleanup(recorder, say)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    problem = ""
    try:
        Chain(run, recorder, cleanup, say).run()
    except (SmokeError, TimeoutError) as error:
        problem = str(error)
    except KeyboardInterrupt:
        problem = "interrupted"
    except Exception as error:  # whatever it is, what was made must go
        problem = f"{type(error).__name__}: {error}"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    say("Deleting what was made. Ctrl-C does not stop this: an endpoint that stays would cost money.")
    left = cleanup.run()
    say(f"Requests and answers, without account, names of people, networks and secrets: {file}")
    say(f"Compare: python -m include.sagemaker_local.compare {file}")
    for line in left:
        say(f"NOT DELETED {line}")
    if problem:
        say(f"FAILED {problem}")
    return 1 if left or problem else 0


def clients_of(run: Smoke) -> Callable[[str], Any]:
    """boto3 clients of the environment's region, with the credentials that boto3 finds."""
    import boto3
    from botocore.config import Config

    session: Any = boto3.Session(region_name=run.environment.region)
    config = Config(retries={"mode": "standard", "max_attempts": 5}, read_timeout=120)
    return lambda service: session.client(service, config=config)


def roles_of(environment: EnvironmentConfig) -> tuple[str, ...]:
    """All roles that an environment names."""
    values = environment.model_dump(exclude={"models"}).values()
    return tuple(value for value in values if isinstance(value, str) and ":role/" in value)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Ctrl-C and SIGTERM, also where a shell that runs this in the background lets Ctrl-C be ignored."""
    raise KeyboardInterrupt


def say(line: str) -> None:
    """A line for the person who waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
