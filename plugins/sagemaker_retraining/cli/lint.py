"""`lint`: checks everything that can be known before a job starts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sagemaker_retraining.cli.command import Commands, add_command
from sagemaker_retraining.cli.plan import preview
from sagemaker_retraining.cli.scripts import image_warnings, name_warnings, newer_syntax, syntax_problems
from sagemaker_retraining.config import (
    ConfigError,
    ModelConfig,
    environment_names,
    load_environment,
    load_model,
    model_folder,
    model_names,
    project_root,
    s3_overlaps,
)
from sagemaker_retraining.config.metrics import known_metrics, not_in_scripts
from sagemaker_retraining.period import Period
from sagemaker_retraining.requests import RequestError, serve_requests, validate

EPILOG = """\
Checks model.yaml and the environments' files, that the scripts are there and are Python that the image can read, and
every request of a run against SageMaker's service model. Nothing is sent. The exit status is 1 when something is wrong.

examples:
  %(prog)s
  %(prog)s churn --env prod
"""


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "lint",
        run,
        summary="check models and environments",
        description="Check models in environments, without sending anything.",
        epilog=EPILOG,
    )
    parser.add_argument("models", nargs="*", metavar="model", help="models to check; default all")
    parser.add_argument("--env", help="environment to check them in; default each of include/environments/")


def run(arguments: argparse.Namespace) -> int:
    """Print each problem on a line, with file and line number; the exit status is 1 when there is one."""
    root = project_root()
    models = arguments.models or model_names(root)
    environments = [arguments.env] if arguments.env else environment_names(root)
    found = [problem for name in environments for problem in environment_problems(name, root)]
    usable = [] if found else environments
    for model in models:
        model_folder(model, root)  # a misspelt name on the command line ends the check here
        found += syntax_problems(model, root)
        found += [problem for environment in usable for problem in model_problems(model, environment, root)]
    for problem in dict.fromkeys(found):
        sys.stdout.write(f"{problem}\n")
    if not found:
        sys.stdout.write(f"ok: {', '.join(models)} in {', '.join(environments)}\n")
    return 1 if found else 0


def environment_problems(name: str, root: Path) -> list[str]:
    """What is wrong with an environment's file, by itself and together with the other environments."""
    try:
        return s3_overlaps(name, root)
    except ConfigError as error:
        return error.problems


def model_problems(model: str, environment: str, root: Path) -> list[str]:
    """What is wrong with a model's YAML, and with the requests it leads to."""
    try:
        config = load_model(model, root, environment)
        warn(model, environment, metric_warnings(config, model_folder(model, root)))
        warn(model, environment, shared_names(config, model, environment, root))
        warn(model, environment, image_warnings(config.image))
        warn(model, environment, name_warnings(model, config.image, root))
        problems = list(newer_syntax(model, config.image, root))
        requests = preview(model, environment, Period.parse(config.first_period), root)
    except ConfigError as error:
        return error.problems
    group = requests["register"]["group"]["ModelPackageGroupName"]
    arn = f"arn:aws:sagemaker:us-east-1:{'0' * 12}:model-package/{group}/1"
    for service, operation, request in [
        ("sagemaker", "CreateProcessingJob", requests["preprocess"]),
        ("sagemaker", "CreateTrainingJob", requests["train"]),
        ("sagemaker", "CreateProcessingJob", requests["evaluate"]),
        ("sagemaker", "CreateModelPackageGroup", requests["register"]["group"]),
        ("sagemaker", "CreateModelPackage", requests["register"]["package"]),
        *serve_requests(requests, arn),
    ]:
        try:
            warn(model, environment, validate(operation, request, service))
        except RequestError as error:
            problems += [f"{model} in {environment}: {problem}" for problem in error.problems]
    return problems


def warn(model: str, environment: str, warnings: Iterable[str]) -> None:
    """Print what may be meant as it is, on standard error."""
    for warning in warnings:
        sys.stderr.write(f"warning: {model} in {environment}: {warning}\n")


def metric_warnings(config: ModelConfig, folder: Path) -> Iterator[str]:
    """Settings of the quality gate that are probably mistakes."""
    missing = not_in_scripts(config.gate_metrics.values(), folder)
    known = known_metrics(config.problem)
    for key, metric in config.gate_metrics.items():
        if metric in missing:
            yield f"{'.'.join(key)}: no script of the model names {metric}: does evaluate write it?"
        bad = {"minimum": "minimize", "maximum": "maximize"}.get(key[1])
        if bad and known.get(metric) == bad:
            less, other = ("less", "maximum") if bad == "minimize" else ("more", "minimum")
            yield f"{'.'.join(key)}: {less} {metric} is better, and this refuses it; is it meant as a {other}?"
        elif key[1] == "minimum" and known.get(metric) and config.quality_gate.minimum[metric] > 1:
            yield f"{'.'.join(key)}: {metric} is at most 1, got {config.quality_gate.minimum[metric]:g}: nothing passes"


def shared_names(config: ModelConfig, model: str, environment: str, root: Path) -> Iterator[str]:
    """Groups and endpoints that environments of one account and region have in common, and would mix up."""
    here = load_environment(environment, root)
    for other in environment_names(root):
        try:
            there, their = load_environment(other, root), load_model(model, root, other)
        except ConfigError:
            continue
        if other == environment or (here.account, here.region) != (there.account, there.region):
            continue
        for key, ours, theirs in (
            ("register.group", config.group, their.group),
            ("deploy.endpoint", config.endpoint, their.endpoint),
        ):
            name = ours.replace("{env}", environment)
            if name == theirs.replace("{env}", other):
                yield f"{key}: {name} is environment {other}'s, too: one takes the other's for its own; add {{env}}"
