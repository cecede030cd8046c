"""`doctor`: checks whether the first run on AWS would find everything it needs, and changes nothing."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from sagemaker_retraining.cli.command import Commands, add_command, add_environment
from sagemaker_retraining.cli.lint import environment_problems, model_problems
from sagemaker_retraining.cli.plan import preview
from sagemaker_retraining.cli.scripts import syntax_problems
from sagemaker_retraining.config import environment_name, load_environment, load_model, model_names, project_root
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.checks import checks
from sagemaker_retraining.doctor.connections import role_of
from sagemaker_retraining.doctor.findings import Check, Finding, Status, findings_of, ok, wrong
from sagemaker_retraining.doctor.identity import Caller, Stop, who_am_i
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.period import Period, resolve_period
from sagemaker_retraining.requests.policies import policies

EPILOG = """\
Prints one line for each check: `ok`, `wrong` with what to do, or `could not look` with the reason, which is mostly a
permission that these credentials lack. It makes, changes and starts nothing, and nothing it calls is billed.

AWS credentials, profile and address are the usual ones: AWS_PROFILE, AWS_ENDPOINT_URL and so on. IAM's
simulator is asked about the role of --dag-role, else about the role_arn of the connection in AIRFLOW_CONN_…, else
about these credentials.

The exit status is 0 when nothing is wrong, and 1 otherwise. A check that could not look does not change it: somebody
else may have to look.

examples:
  %(prog)s --env prod
  %(prog)s --env prod --dag-role arn:aws:iam::123456789012:role/airflow
  AWS_PROFILE=prod-airflow %(prog)s --env prod flight_delay
"""
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
LOOKS_AT_ONCE = 12
SILENT_SECONDS = 2


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "doctor",
        run,
        summary="check an AWS account before the first run",
        description="Check that an environment's AWS account has what runs need, without changing anything.",
        epilog=EPILOG,
    )
    parser.add_argument("models", nargs="*", metavar="model", help="models to check; default all")
    add_environment(parser)
    parser.add_argument("--dag-role", metavar="ARN", help="role that Airflow's tasks use; default: see below")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 when one of them is wrong."""
    if arguments.dag_role and not _ROLE.fullmatch(arguments.dag_role):
        raise ValueError(
            f"--dag-role {arguments.dag_role}: expected a role such as arn:aws:iam::123456789012:role/airflow"
        )
    counts: Counter[Status] = Counter()
    for finding in findings(arguments.models, arguments.env or environment_name(), arguments.dag_role, project_root()):
        counts[finding.status] += 1
        sys.stdout.write(f"{finding.status:<14}  {finding.subject}: {finding.text}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{', '.join(f'{counts[status]} {status}' for status in Status)}\n")
    return 1 if counts[Status.WRONG] else 0


def findings(models: list[str], environment: str, dag_role: str | None, root: Path) -> Iterator[Finding]:
    """First the files, then the credentials, then everything else; it ends after what makes further checks useless."""
    problems = environment_problems(environment, root)
    yield from (wrong("files", problem) for problem in problems)
    if problems:
        return
    usable = []
    for model in models or model_names(root):
        problems = [*syntax_problems(model, root), *model_problems(model, environment, root)]
        yield from (wrong("files", problem) for problem in problems)
        usable += [] if problems else [model]
    if usable:
        yield ok("files", f"{environment} with {', '.join(usable)}")
    aws = Aws(load_environment(environment, root).region)
    try:
        caller, finding = who_am_i(aws, load_environment(environment, root))
    except Stop as stop:
        yield stop.finding
        return
    yield finding
    yield from _results(checks(aws, scope_of(usable, environment, dag_role, caller, root), os.environ))


def scope_of(models: list[str], environment: str, dag_role: str | None, caller: Caller, root: Path) -> Scope:
    """What the checks look at, for models whose files are in order."""
    where = load_environment(environment, root)
    configs = tuple(load_model(model, root, environment) for model in models)
    newest = resolve_period(run_after=datetime.now(UTC))
    plans = {
        config.model: preview(config.model, environment, max(newest, Period.parse(config.first_period)), root)
        for config in configs
    }
    return Scope(
        environment=where,
        models=configs,
        plans=plans,
        policies=policies(where, configs, root=root),
        caller=caller,
        dag_role=dag_role or role_of(where.aws_conn_id, os.environ),
        approver_role=role_of(where.approver_conn_id, os.environ) if where.approver_conn_id else None,
    )


def _results(all_checks: Iterable[Check]) -> Iterator[Finding]:
    """The findings in the order of the checks, which run at once; on a terminal a slow check is announced."""
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as threads:
        waiting = [(check, threads.submit(findings_of, check)) for check in all_checks]
        for check, future in waiting:
            try:
                found = future.result(timeout=SILENT_SECONDS)
            except TimeoutError:
                if sys.stderr.isatty():
                    sys.stderr.write(f"… looking at {check.subject}\n")
                found = future.result()
            yield from found
