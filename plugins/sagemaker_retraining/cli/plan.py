"""`plan`: what a run would do and send, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from sagemaker_retraining.cli.command import Commands, add_command, add_environment
from sagemaker_retraining.config import load_environment, load_model, model_folder, project_root
from sagemaker_retraining.period import Period, resolve_period
from sagemaker_retraining.plan import PlanDocument, build_plan, package_code
from sagemaker_retraining.requests import build_requests

EPILOG = """\
Prints what plan.json of a run would hold: names, S3 locations, tags, and the complete request of every step. Nothing
is sent. The champion, the Git revision and the id of the run are known only in a run; here the run is called
`preview`.

examples:
  %(prog)s flight_delay --period 2013-11
  %(prog)s flight_delay --env prod | jq .train.StoppingCondition
"""


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "plan",
        run,
        summary="print the plan of a run",
        description="Print what a run would do.",
        epilog=EPILOG,
    )
    parser.add_argument("model", help="a folder of include/models/")
    parser.add_argument("--period", metavar="YYYY-MM", help="month the run is about; default the last complete month")
    add_environment(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan."""
    period = resolve_period(param=arguments.period, run_after=datetime.now(UTC))
    requests = preview(arguments.model, arguments.env, period, project_root())
    sys.stdout.write(json.dumps(requests, indent=2, ensure_ascii=False) + "\n")
    return 0


def preview(model: str, environment: str | None, period: Period, root: Path) -> PlanDocument:
    """The plan and requests of a run called `preview`."""
    plan = build_plan(
        load_model(model, root, environment),
        load_environment(environment, root),
        period,
        dag_id=f"{model}_retraining",
        run_id="preview",
        git_sha="preview",
        code=package_code(model_folder(model, root)),
    )
    return build_requests(plan)
