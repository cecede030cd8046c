"""`iam`: the policies an environment needs, filled in."""

from __future__ import annotations

import argparse
import json
import sys

from sagemaker_retraining.cli.command import Commands, add_command, add_environment
from sagemaker_retraining.config import load_environment, load_model, model_names, project_root
from sagemaker_retraining.requests.policies import (
    APPROVER,
    DAG_ROLE,
    HOSTING_ROLE,
    JOB_ROLE,
    TRUST,
    policies,
    trust_policy,
)

EPILOG = """\
Prints a file of include/iam/ with the values of the environment and of all models in it. Nothing is sent. dag-role
is for aws_conn_id, approver for reviewers, job-role and hosting-role for role_arn and hosting_role_arn (job-role has
both where they are one role), execution-role.trust says who may assume these two.

examples:
  %(prog)s dag-role --env prod > dag-role.json
  aws iam put-role-policy --role-name airflow --policy-name retraining --policy-document file://dag-role.json
"""


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "iam",
        run,
        summary="print the IAM policies of an environment",
        description="Print an IAM policy of an environment.",
        epilog=EPILOG,
    )
    parser.add_argument("policy", choices=[DAG_ROLE, APPROVER, JOB_ROLE, HOSTING_ROLE, TRUST], help="which")
    add_environment(parser)
    parser.add_argument(
        "--prefix",
        default="",
        help="how the names of your jobs, groups, models and endpoints begin, such as flight-; default: all names",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the policy."""
    root = project_root()
    environment = load_environment(arguments.env, root)
    if arguments.policy == TRUST:
        document = trust_policy(environment, root=root)
    else:
        models = [load_model(name, root, environment.environment) for name in model_names(root)]
        made = policies(environment, models, root=root, prefix=arguments.prefix)
        if arguments.policy not in made:
            name = environment.environment
            raise ValueError(f"environment {name} has no hosting_role_arn of its own: take job-role, which has it all")
        document = made[arguments.policy]
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0
