"""`evaluation.json`, read and checked: a model's own script wrote it, so it is input like any other.

The metrics are in SageMaker's model-quality format:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_retraining.gate.document import ModelComparison

LONGEST_VALUE = 80
LONGEST_LINE = 400


class EvaluationError(ValueError):
    """The document cannot be used; the message names its URI, the key, what is there and what would be right."""


@dataclass(frozen=True)
class Evaluation:
    """What the gate looks at: the metrics of both models (values may be NaN), and how they compare.

    `rows` is None when the script did not count its test rows. `warnings` are about what is odd and not decisive.
    """

    rows: int | None
    challenger: dict[str, float]
    champion: dict[str, float] | None
    champion_error: str | None
    comparison: ModelComparison | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class KeyPath:
    """A key in the document, for messages."""

    uri: str
    keys: tuple[str, ...] = ()

    def at(self, *keys: str) -> KeyPath:
        """A key below this one."""
        return KeyPath(self.uri, (*self.keys, *keys))

    @property
    def dotted(self) -> str:
        """`champion.regression_metrics.rmse`"""
        return ".".join(self.keys)

    def wrong(self, value: Any, expected: str) -> EvaluationError:
        """The error for a value of the wrong kind."""
        return EvaluationError(f"{self.uri}: {self.dotted} is {formatted(value)}; expected {expected}")


def read_evaluation(
    document: Any, *, problem: str, metric: str, needed: Collection[str], uri: str = "evaluation.json"
) -> Evaluation:
    """Check the document and take out what the gate needs. Raises EvaluationError.

    `problem` is `binary_classification`, `multiclass_classification` or `regression`, `metric` the one that is
    compared, `needed` the metrics that must be there. A test set without rows is read without any metric: nothing was
    measured, whatever the document says.
    """
    path = KeyPath(uri)
    if not isinstance(document, Mapping):
        raise EvaluationError(f"{uri}: is {formatted(document)}; expected an object with {problem}_metrics")
    rows = read_rows(document, path)
    if rows == 0:
        return Evaluation(0, {}, None, None, None, ())
    challenger, warnings = metric_values(document, problem, needed, path)
    champion_error = document.get("champion_error")
    if champion_error is not None and not isinstance(champion_error, str):
        raise path.at("champion_error").wrong(champion_error, "a sentence, or null")
    champion = None
    if not champion_error and (block := document.get("champion")) is not None:
        if not isinstance(block, Mapping):
            raise path.at("champion").wrong(block, f"an object with {problem}_metrics, or null")
        champion, more = metric_values(block, problem, {metric}, path.at("champion"))
        warnings += more
    comparison = None
    if champion is not None and math.isfinite(difference := challenger[metric] - champion[metric]):
        comparison, more = read_comparison(document.get("comparison"), metric, difference, path.at("comparison"))
        warnings += more
    error = one_line(champion_error) if champion_error else None
    return Evaluation(rows, challenger, champion, error, comparison, tuple(warnings))


def read_rows(document: Mapping[str, Any], path: KeyPath) -> int | None:
    """`holdout.rows` of an evaluation.json that nobody has checked yet; None when the script does not say."""
    holdout = document.get("holdout")
    if holdout is None:
        return None
    if not isinstance(holdout, Mapping):
        raise path.at("holdout").wrong(holdout, "an object with rows")
    rows = holdout.get("rows")
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 0):
        raise path.at("holdout", "rows").wrong(rows, "the number of test rows")
    return rows


def metric_values(
    block: Mapping[str, Any], problem: str, needed: Collection[str], path: KeyPath
) -> tuple[dict[str, float], list[str]]:
    """The metrics out of a model's (unchecked) block, and a warning for each value that is no number and is not needed.

    Members without a `value` (curves, confusion matrices) are left out. Raises EvaluationError.
    """
    key = f"{problem}_metrics"
    metrics = block.get(key)
    if not isinstance(metrics, Mapping):
        there = ", ".join(map(str, sorted(block))) or "nothing"
        raise EvaluationError(
            f"{path.uri}: {path.at(key).dotted} is {formatted(metrics)}; expected an object "
            f'{{metric: {{"value": number}}}} for a model whose problem is {problem}; there is {there}'
        )
    values, warnings = {}, []
    for name, entry in metrics.items():
        if not isinstance(entry, Mapping) or "value" not in entry:
            continue
        if (value := number(entry["value"])) is not None:
            values[str(name)] = value
        elif name not in needed:
            spot = path.at(key, name, "value").dotted
            warnings.append(f"{spot} is {formatted(entry['value'])}, which is not a number, and is left out")
    for name in sorted(set(needed) - set(values)):
        if name not in metrics:
            raise EvaluationError(
                f"{path.uri}: {path.at(key, name).dotted} is not there; model.yaml's quality_gate needs it, "
                f"and the document has {', '.join(sorted(values)) or 'no metric'}"
            )
        entry = metrics[name]
        if isinstance(entry, Mapping) and "value" in entry:
            raise path.at(key, name, "value").wrong(entry["value"], "a number")
        raise path.at(key, name).wrong(entry, 'an object with a number as "value"')
    return values, warnings


def read_comparison(block: Any, metric: str, difference: float, path: KeyPath) -> tuple[ModelComparison, list[str]]:
    """The compared metric's interval; `difference` is what the two values say. Raises EvaluationError.

    Without an interval, or with one that is not finite, the comparison has none and a warning says so.
    """
    if block is not None and not isinstance(block, Mapping):
        raise path.wrong(block, "an object {metric: {confidence_interval, …}}, or null")
    entry, path = (block or {}).get(metric), path.at(metric)
    if entry is not None and not isinstance(entry, Mapping):
        raise path.wrong(entry, "an object with confidence_interval")
    edges = (entry or {}).get("confidence_interval")
    alone = f"the values of {metric} alone are compared, which says nothing about chance"
    if entry is None or edges is None:
        where = path.at("confidence_interval").dotted
        return without_interval(difference), [f"{where} is not there: {alone}"]
    interval = read_interval(edges, path.at("confidence_interval"))
    check_sign(entry.get("difference"), difference, path.at("difference"))
    if not all(map(math.isfinite, interval)):
        where = path.at("confidence_interval").dotted
        return without_interval(difference), [f"{where} is {formatted(edges)}: {alone}"]
    if interval[0] > interval[1]:
        raise path.at("confidence_interval").wrong(edges, "the lower edge first")
    samples = number(entry.get("samples"))
    comparison: ModelComparison = {
        "difference": difference,
        "confidence_interval": interval,
        "confidence": number(entry.get("confidence")),
        "samples": int(samples) if samples else None,
    }
    return comparison, []


def without_interval(difference: float) -> ModelComparison:
    """The comparison of two values that nobody measured the chance of."""
    return {"difference": difference, "confidence_interval": None, "confidence": None, "samples": None}


def read_interval(edges: Any, path: KeyPath) -> list[float]:
    """Two numbers, finite or not. Raises EvaluationError."""
    expected = "two numbers [low, high]"
    if not isinstance(edges, list | tuple) or len(edges) != 2:
        raise path.wrong(edges, expected)
    low, high = number(edges[0]), number(edges[1])
    if low is None or high is None:
        raise path.wrong(edges, expected)
    return [low, high]


def check_sign(stated: Any, difference: float, path: KeyPath) -> None:
    """A difference taken the other way round would turn the gate round. Raises EvaluationError.

    Rounded values are fine: only a number nearer to the opposite than to `difference` itself is refused.
    """
    if stated is None:
        return
    if (value := number(stated)) is None or math.isnan(value):
        raise path.wrong(stated, "a number")
    if abs(value - difference) > abs(value + difference):
        raise path.wrong(stated, f"challenger minus champion, which is {difference:g}")


def number(value: Any) -> float | None:
    """A JSON number as float (NaN and infinities are numbers to Python's JSON); None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf if value > 0 else -math.inf


def one_line(text: str) -> str:
    """The text without line ends, cut where nobody reads on: a library's error may be a page of stack trace."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def formatted(value: Any) -> str:
    """A value as JSON writes it, cut when it is long."""
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
