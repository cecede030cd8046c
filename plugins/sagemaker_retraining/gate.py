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


def decide(evaluation: Mapping[str, Any], thresholds: Mapping[str, Any], problem: str) -> Decision:
    """Compare the challenger with `thresholds`: `{"minimum": {metric: value}, "maximum": {metric: value}}`.

    A metric that is missing or not a finite number fails the gate: what was not measured is not good.
    """
    challenger = metric_values(evaluation, problem)
    champion_block = evaluation.get("champion")
    champion = metric_values(champion_block, problem) if champion_block else None
    failures = []
    for bound, ok in (("minimum", lambda v, t: v >= t), ("maximum", lambda v, t: v <= t)):
        for metric, threshold in (thresholds.get(bound) or {}).items():
            value = challenger.get(metric)
            if value is None or not math.isfinite(value):
                failures.append(f"{metric} is {value}, so its {bound} of {threshold:g} cannot be checked")
            elif not ok(value, threshold):
                failures.append(f"{metric} {value:.4f} misses its {bound} of {threshold:g}")
    return Decision(not failures, "; ".join(failures) or "all thresholds met", challenger, champion)
