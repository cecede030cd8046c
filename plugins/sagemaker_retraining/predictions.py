"""What a model answers, as numbers: CSV, JSON, or JSON lines. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

_MEMBERS = ("predictions", "score")
"""Where AWS's own containers put them: `{"predictions": [{"score": 0.4}]}`, and a `{"score": 0.4}` a line.
https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html"""


def predictions(answer: str) -> list[float] | None:
    """The numbers of an answer in their order, NaN and infinity too; None for what is not made of numbers.

    The text tells the format, more reliably than the content type does. JSON is a number, a list (of lists), or an
    object with `predictions` or `score`; of JSON lines each line is one of these; CSV is numbers between commas and
    line ends.
    """
    for read in (_json, _json_lines, _csv):
        try:
            return read(answer)
        except (ValueError, OverflowError, RecursionError):
            continue
    return None


def _json(text: str) -> list[float]:
    return _numbers(json.loads(text))


def _json_lines(text: str) -> list[float]:
    return _flat(_json(line) for line in text.strip().split("\n"))


def _csv(text: str) -> list[float]:
    return [float(cell) for cell in text.strip().replace("\n", ",").split(",")]


def _numbers(value: Any) -> list[float]:
    """Raises ValueError for texts, truth values, null, and objects of other members."""
    if isinstance(value, list):
        return _flat(map(_numbers, value))
    if isinstance(value, dict):
        for member in _MEMBERS:
            if member in value:
                return _numbers(value[member])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r:.200} is no number")
    return [float(value)]


def _flat(lists: Iterable[list[float]]) -> list[float]:
    return [number for part in lists for number in part]
