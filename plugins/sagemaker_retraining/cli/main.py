"""The parser of all commands, and the errors they share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_retraining.cli import decide, doctor, iam, lint, new, plan, schema, status
from sagemaker_retraining.config import ConfigError

DESCRIPTION = "Models that are retrained on SageMaker every month: check, preview, add and release them."
EPILOG = """\
examples:
  %(prog)s new churn                       a new model that runs as it is
  %(prog)s lint                            all models in all environments
  %(prog)s plan churn --period 2013-11     what a run would send to SageMaker
  %(prog)s schema > model.schema.json      for the editor's completion
  %(prog)s iam dag-role --env prod         the IAM policy of an environment
  %(prog)s doctor --env prod               before the first run on AWS: is everything there?
  %(prog)s status churn                    its versions, who decided on them, which is best
  %(prog)s approve churn 7 --reason …      a person's decision

Environments are include/environments/<env>.yaml; RETRAINING_ENV picks one (default local).
RETRAINING_HOME is the folder that holds include/, where it is not found by itself.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. Each problem is one line on standard error."""
    parsed = parser().parse_args(arguments)
    try:
        exit_status: int = parsed.run(parsed)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return 1
    except (ValueError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return exit_status


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(
        prog="python -m sagemaker_retraining",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", metavar="<command>", required=True)
    for command in (new, lint, plan, schema, iam, doctor, status, decide):
        command.add_to(commands)
    return top
