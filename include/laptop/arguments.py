"""The arguments of `make run`, checked before anything is installed or started (standard library only)."""

from __future__ import annotations

import difflib
import re
import sys
from dataclasses import dataclass

from include.laptop.layout import MODELS, ROOT, LaptopError

PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Arguments:
    """`review` is `auto` (the driver approves) or `manual` (a person does)."""

    model: str
    period: str
    review: str

    @property
    def dag_id(self) -> str:
        """The model's retraining DAG."""
        return f"{self.model}_retraining"


def parse(model: str, period: str, review: str) -> Arguments:
    """Raises LaptopError for a model that is not there, a period that is no month, or an unknown review."""
    models = available_models()
    if model not in models:
        close = difflib.get_close_matches(model, models, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise LaptopError(f"MODEL={model} is not a model of this project: {hint}There are: {', '.join(models)}.", 2)
    if not PERIOD.fullmatch(period):
        raise LaptopError(f"PERIOD={period} is not a month: write it as YYYY-MM, for example 2013-11.", 2)
    if review not in ("auto", "manual"):
        raise LaptopError(f"REVIEW={review} is neither auto nor manual.", 2)
    return Arguments(model, period, review)


def available_models() -> list[str]:
    """Models that have a folder with a model.yaml and a DAG file."""
    folders = (file.parent.name for file in MODELS.glob("*/model.yaml"))
    return sorted(name for name in folders if (ROOT / "dags" / f"{name}.py").exists())


def main(arguments: list[str]) -> int:
    """Exit status 2 and one sentence when an argument is wrong."""
    try:
        parse(*arguments)
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
