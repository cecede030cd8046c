"""The quality gate's decision: pure, from `evaluation.json` and the model's thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Decision:
    """Whether the challenger may be registered, why, and the numbers: `{metric: value}` of both models."""

    passed: bool
    reason: str
    challenger: dict[str, float]
    champion: dict[str, float] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, for XCom."""
        return asdict(self)


def metric_values(block: Mapping[str, Any], problem: str) -> dict[str, float]:
    """`{metric: value}` out of SageMaker's model-quality format (`binary_classification_metrics`, …).

    Members without a `value` (curves, confusion matrices) are left out. Raises ValueError when the block is not there.
    """
    key = f"{problem}_metrics"
    metrics = block.get(key)
    if not isinstance(metrics, Mapping):
        raise ValueError(f"evaluation.json: no {key!r} in {sorted(block)}")
    return {
        name: float(entry["value"])
        for name, entry in metrics.items()
        if isinstance(entry, Mapping) and isinstance(entry.get("value"), int | float)
    }


def decide(evaluation: Mapping[str, Any], config: Mapping[str, Any]) -> Decision:
    """Compare the challenger with the thresholds, and with the champion on the same holdout if there is one.

    `config` is the plan's `quality_gate`: `{problem, minimum: {metric: value}, maximum: {metric: value}, metric,
    direction, tolerance}`. What was not measured is not good: a metric that is missing or not finite fails the gate.
    """
    challenger = metric_values(evaluation, config["problem"])
    champion_block = evaluation.get("champion")
    champion = metric_values(champion_block, config["problem"]) if champion_block else None
    failures = [
        *missed(challenger, config["minimum"], "minimum"),
        *missed(challenger, config["maximum"], "maximum"),
    ]
    comparison = "no champion to compare with"
    if champion is not None:
        metric, tolerance = config["metric"], config["tolerance"]
        new, old = challenger.get(metric, math.nan), champion.get(metric, math.nan)
        gain = new - old if config["direction"] == "maximize" else old - new
        comparison = f"{metric} {new:.4f} against the champion's {old:.4f} (tolerance {tolerance:g})"
        if not gain >= -tolerance:
            failures.append(f"worse than the champion: {comparison}")
    reason = "; ".join(failures) or f"all thresholds met; {comparison}"
    return Decision(not failures, reason, challenger, champion)


def missed(values: Mapping[str, float], thresholds: Mapping[str, float], bound: str) -> list[str]:
    """One sentence per threshold that a metric misses; `bound` is `minimum` or `maximum`."""
    sentences = []
    for metric, threshold in thresholds.items():
        value = values.get(metric, math.nan)
        if not (value >= threshold if bound == "minimum" else value <= threshold):
            sentences.append(f"{metric} {value:.4f} misses its {bound} of {threshold:g}")
    return sentences
