"""`status`: the versions of a model, who decided on them, and which is best."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from sagemaker_retraining import registry
from sagemaker_retraining.cli.command import Commands, add_command, add_environment
from sagemaker_retraining.cli.registry_client import group_of, sagemaker_client
from sagemaker_retraining.config import ModelConfig, load_model
from sagemaker_retraining.config.metrics import known_metrics
from sagemaker_retraining.requests.approval import PENDING, StatusChange, decision_of, status_changes

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

EPILOG = """\
The best version (marked *) is the approved one with the best value of the metric, the newest of equal ones. Every
version was measured on its own month: a better value may be a better model or an easier month.

AWS credentials, profile and address are the usual ones: AWS_PROFILE, AWS_ENDPOINT_URL and so on.

examples:
  %(prog)s flight_delay
  %(prog)s flight_delay --metric average_precision
  %(prog)s flight_delay --json | jq -r '.[] | select(.best).model_package_arn'
"""
VersionEntry = TypedDict(  # `from` is a keyword of Python, so this one cannot be written as a class
    "VersionEntry",
    {
        "version": int,
        "model_package_arn": str,
        "period": str | None,
        "status": str,
        "best": bool,
        "metric": float | None,
        "by": str | None,
        "at": str | None,
        "from": str | None,
        "reason": str | None,
        "run_id": str | None,
        "metrics": dict[str, float | None],
        "transitions": list[dict[str, str | int]],
    },
)
"""A version as `--json` prints it; who, when, why and from where are None while nobody has decided."""
COLUMNS = ("", "version", "month", "status", "metric", "when", "from", "by", "why")


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "status",
        run,
        summary="list a model's versions, decisions and the best one",
        description="List a model's versions in the Model Registry, newest first.",
        epilog=EPILOG,
    )
    parser.add_argument("model", help="a folder of include/models/")
    parser.add_argument("--metric", help="metric to compare; default that of the quality gate")
    parser.add_argument("--json", action="store_true", help="for programs, with all metrics and the whole history")
    add_environment(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the versions."""
    model = load_model(arguments.model, environment=arguments.env)
    metric = arguments.metric or model.gate_metric
    api, _ = sagemaker_client(arguments.env)
    group = group_of(arguments.model, arguments.env)
    packages = list(registry.versions(api, group))
    require_metric(packages, metric)
    best = registry.best_version(packages, metric, direction_of(model, metric))
    found = [entry_of(package, metric, is_best=package is best) for package in packages]
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    elif not found:
        sys.stdout.write(f"{group} has no versions yet\n")
    else:
        rows = [row(version) for version in found]
        sys.stdout.write(table([(*COLUMNS[:4], metric, *COLUMNS[5:]), *rows]))
    return 0


def direction_of(model: ModelConfig, metric: str) -> str:
    """`maximize` or `minimize`; for an unknown metric, what a threshold of the gate makes likely."""
    if metric == model.gate_metric:
        return model.gate_direction
    unknown = "minimize" if metric in model.quality_gate.maximum else "maximize"
    return known_metrics(model.problem).get(metric, unknown)


def require_metric(packages: Sequence[DescribeModelPackageOutputTypeDef], metric: str) -> None:
    """Raise ValueError when there are versions with metrics, and none has this one."""
    there = {key for package in packages for key in package.get("CustomerMetadataProperties", {})}
    names = sorted(key.removeprefix("metric.") for key in there if key.startswith("metric."))
    if names and metric not in names:
        raise ValueError(f"--metric {metric}: no version has it; there are {', '.join(names)}")


def entry_of(package: DescribeModelPackageOutputTypeDef, metric: str, *, is_best: bool) -> VersionEntry:
    """One version, for programs."""
    metadata = package.get("CustomerMetadataProperties", {})
    decision = decision_of(package)
    pending = decision.status == PENDING
    values = {key.removeprefix("metric."): value for key, value in metadata.items() if key.startswith("metric.")}
    return {
        "version": package["ModelPackageVersion"],
        "model_package_arn": package["ModelPackageArn"],
        "period": registry.noted_period(package),
        "status": decision.status,
        "best": is_best,
        "metric": registry.metric_of(package, metric),
        "by": None if pending else decision.by,
        "at": None if pending else decision.at,
        "from": None if pending else decision.channel,
        "reason": None if pending else decision.reason,
        "run_id": metadata.get("run_id"),
        "metrics": {name: registry.metric_of(package, name) for name in sorted(values)},
        "transitions": [transition_of(change) for change in status_changes(package)],
    }


def transition_of(change: StatusChange) -> dict[str, str | int]:
    """One status change, with the keys that programs have always found: there the channel is called `door`."""
    return {"door" if key == "channel" else key: value for key, value in vars(change).items()}


def row(version: VersionEntry) -> tuple[str, ...]:
    """A line of the table."""
    value = version["metric"]
    return (
        "*" if version["best"] else "",
        str(version["version"]),
        version["period"] or "-",
        version["status"],
        "-" if value is None else f"{value:.4f}",
        (version["at"] or "-")[:16].replace("T", " "),
        version["from"] or "-",
        version["by"] or "-",
        version["reason"] or "-",
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as text, each column as wide as its widest cell; the last column is not padded."""
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in rows
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)
