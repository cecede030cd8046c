"""The arguments of `make run` and `make backfill`, checked before anything is installed (standard library only)."""

from __future__ import annotations

import difflib
import re
import sys
from dataclasses import dataclass

from include.laptop.layout import MODELS, ROOT, LaptopError

PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class ModelArguments:
    """What both commands have."""

    model: str

    @property
    def dag_id(self) -> str:
        """The model's retraining DAG."""
        return f"{self.model}_retraining"


@dataclass(frozen=True)
class RunArguments(ModelArguments):
    """`review` is `auto` (the driver approves) or `manual` (a person does)."""

    period: str
    review: str


@dataclass(frozen=True)
class BackfillArguments(ModelArguments):
    """The months `first` to `last`, both written YYYY-MM and both included."""

    first: str
    last: str

    @property
    def periods(self) -> list[str]:
        """Every month, oldest first."""
        numbers = [int(month[:4]) * 12 + int(month[5:]) - 1 for month in (self.first, self.last)]
        return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(numbers[0], numbers[1] + 1)]


def parse_run(model: str, period: str, review: str) -> RunArguments:
    """Raises LaptopError for a model that is not there, a period that is no month, or an unknown review."""
    check_model(model)
    check_month("PERIOD", period)
    if review not in ("auto", "manual"):
        raise LaptopError(f"REVIEW={review} is neither auto nor manual.", 2)
    return RunArguments(model, period, review)


def parse_backfill(model: str, first: str, last: str) -> BackfillArguments:
    """Raises LaptopError for a model that is not there, what is no month, and months the wrong way round."""
    check_model(model)
    check_month("FROM", first)
    check_month("TO", last)
    if first > last:
        raise LaptopError(f"FROM={first} is after TO={last}: give the oldest month as FROM.", 2)
    return BackfillArguments(model, first, last)


def check_model(model: str) -> None:
    """Raises LaptopError for a model that is not there."""
    models = available_models()
    if model not in models:
        close = difflib.get_close_matches(model, models, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise LaptopError(f"MODEL={model} is not a model of this project: {hint}There are: {', '.join(models)}.", 2)


def check_month(variable: str, value: str) -> None:
    """Raises LaptopError for what is no month."""
    if not PERIOD.fullmatch(value):
        raise LaptopError(f"{variable}={value} is not a month: write it as YYYY-MM, for example 2013-11.", 2)


def available_models() -> list[str]:
    """Models that have a folder with a model.yaml and a DAG file."""
    folders = (file.parent.name for file in MODELS.glob("*/model.yaml"))
    return sorted(name for name in folders if (ROOT / "dags" / f"{name}.py").exists())


def main(arguments: list[str]) -> int:
    """`python -m include.laptop.setup.arguments {run,backfill} …`: exit status 2 and a sentence when one is wrong."""
    try:
        {"run": parse_run, "backfill": parse_backfill}[arguments[0]](*arguments[1:])
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
