"""`approve` and `reject`: a person's decision on a version, written into the Model Registry."""

from __future__ import annotations

import argparse
import getpass
import sys

from sagemaker_retraining import registry
from sagemaker_retraining.cli.command import Commands, add_command, add_environment
from sagemaker_retraining.cli.registry_client import group_of, sagemaker_client
from sagemaker_retraining.requests.approval import APPROVED, CLI, REJECTED

EPILOG = """\
AWS credentials, profile and address are the usual ones: AWS_PROFILE, AWS_ENDPOINT_URL and so on; RETRAINING_ENV picks
the environment. They need what include/iam/approver.json allows. The registry records your name on this machine and the
identity that AWS knows you by. A version on which somebody has decided already stays as it is; the exit status is 1.

examples:
  %(prog)s flight_delay 7 --reason "better on every metric"
"""


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add both commands to the parser."""
    for name, status, text in (
        ("approve", APPROVED, "approve a version: its run goes on to deploy"),
        ("reject", REJECTED, "reject a version: its run ends without deploying"),
    ):
        parser = add_command(
            commands, name, run, summary=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EPILOG
        )
        parser.add_argument("model", help="a folder of include/models/")
        parser.add_argument("version", type=int, help="number of the version, as `status` lists it")
        needed = status == REJECTED
        parser.add_argument(
            "--reason",
            required=needed,
            default="",
            help="why; kept in the registry" + ("" if needed else " (optional)"),
        )
        add_environment(parser)
        parser.set_defaults(status=status)


def run(arguments: argparse.Namespace) -> int:
    """Write the decision and print which one counts; 1 when somebody else has decided before."""
    api, identity = sagemaker_client(arguments.env)
    package = registry.find_version(api, group_of(arguments.model, arguments.env), arguments.version)
    decision, mine = registry.decide_version(
        api,
        package["ModelPackageArn"],
        arguments.status,
        by=f"{getpass.getuser()} as {identity()}",
        channel=CLI,
        reason=arguments.reason,
    )
    if not mine:
        sys.stderr.write(f"already decided: {decision}\n")
        return 1
    sys.stdout.write(f"{decision}\n")
    return 0
