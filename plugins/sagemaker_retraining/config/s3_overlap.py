"""Environments keep to themselves: no two of them write below the same prefix of a bucket."""

from __future__ import annotations

from pathlib import Path

from sagemaker_retraining.config.environment import EnvironmentConfig
from sagemaker_retraining.config.load import environment_names, environment_source, load_environment, model_names
from sagemaker_retraining.config.source import ConfigError, SourceLocation


def s3_overlaps(name: str, root: Path) -> list[str]:
    """One message for each environment whose part of a bucket overlaps with that of `name`; both files are named.

    An environment whose file cannot be used overlaps with nothing: nothing can run there. Raises ConfigError for
    `name` itself.
    """
    here = load_environment(name, root)
    problems = []
    for other in environment_names(root):
        if other == name:
            continue
        try:
            pair = (here, load_environment(other, root))
        except ConfigError:
            continue
        first, second = sorted(pair, key=lambda environment: (len(environment.key_prefix), environment.environment))
        if first.bucket == second.bucket and (why := _overlap(first, second, model_names(root))):
            problems.append(f"{_location(second, root)}: {why.format(other=_location(first, root))}")
    return problems


def _overlap(first: EnvironmentConfig, second: EnvironmentConfig, models: list[str]) -> str:
    """Why two environments of one bucket overlap; empty when they do not. `first` has the shorter prefix."""
    if first.key_prefix == second.key_prefix:
        what = f"prefix: {second.prefix!r} of" if second.prefix else "bucket:"
        return (
            f"{what} {second.bucket!r} is used by {{other}} too, and each would overwrite the other's files; "
            f"give one of them a prefix of its own, such as `prefix: {second.environment}`"
        )
    below = second.key_prefix.removeprefix(first.key_prefix)
    if second.key_prefix.startswith(first.key_prefix) and (model := below.split("/")[0]) in models:
        return (
            f"prefix: {second.prefix!r} lies among the files that model {model} has in the environment of {{other}}; "
            f"choose one that is not a model's name, such as `prefix: {second.environment}`"
        )
    return ""


def _location(environment: EnvironmentConfig, root: Path) -> SourceLocation:
    source = environment_source(environment.environment, root)
    return source.location(("prefix",) if environment.prefix else ("bucket",))
