"""Quality of probabilities for a binary target, with the uncertainty that comes from having only one month of days.

Flights of one day share its weather, so the bootstrap draws whole days, not flights: drawing flights would promise a
precision that a single month does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

AT_ONCE = 50
"""Replicates worked on together; more need more memory and gain no time."""

CURVE_POINTS = 100
BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}


LOWER_IS_BETTER = {"log_loss", "brier", "false_positive_rate", "false_negative_rate"}
MODEL_MONITOR = (
    "auc", "accuracy", "precision", "recall", "f0_5", "f1", "f2",
    "true_positive_rate", "true_negative_rate", "false_positive_rate", "false_negative_rate",
)  # fmt: skip
"""The metrics that Model Monitor computes for a binary classification."""

ALARM_DEVIATIONS = 3
"""A month counts as worse than the test month when a metric is this many standard deviations on the bad side of it."""


@dataclass(frozen=True)
class Bootstrap:
    """How the uncertainty is measured: confidence of an interval (0.5 to 1), number of samples, seed."""

    confidence: float = 0.95
    samples: int = 500
    seed: int = 2013

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Bootstrap:
        """From the job's environment, BOOTSTRAP_CONFIDENCE and the like. Raises ValueError naming the variable."""
        default, kinds = cls(), {"confidence": float, "samples": int, "seed": int}
        values: dict[str, Any] = {}
        for name, kind in kinds.items():
            variable = f"BOOTSTRAP_{name.upper()}"
            text = environment.get(variable, str(getattr(default, name)))
            try:
                values[name] = kind(text)
            except ValueError as error:
                raise ValueError(
                    f"{variable} is {text!r}; expected a number such as {getattr(default, name)}"
                ) from error
        if not 0.5 < values["confidence"] < 1 or values["samples"] < 2 or values["seed"] < 0:
            raise ValueError(f"BOOTSTRAP_*: {values}; expected 0.5 < confidence < 1, samples from 2, seed from 0")
        return cls(**values)


def day_weights(dates: pd.Series, how: Bootstrap) -> np.ndarray:
    """(1 + samples, flights) weights: first all ones, then how often each flight's day was drawn.

    Days cannot be drawn from a month that has only one yet; then flights are.
    """
    day, names = pd.factorize(dates if dates.nunique() > 1 else dates.index)
    draws = np.random.default_rng(how.seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=how.samples
    )
    return np.vstack([np.ones(len(day)), draws[:, day]]).astype(np.float32)


def bootstrap(late: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every scalar metric: the value first, then one for each replicate, which is NaN if all its flights were alike."""
    starts = range(0, len(weights), AT_ONCE)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [metrics(late, scores, threshold, weights[start : start + AT_ONCE]) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def metrics(late: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every scalar metric under each row of `weights`, by SageMaker's names where it has one.

    `late` is 0 or 1, `scores` are probabilities; a flight counts as called late when its score is at least `threshold`.
    """
    order = np.argsort(-scores, kind="stable")
    late, scores, weights = late[order].astype(np.float32), scores[order].astype(np.float64), weights[:, order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # the last flight of each distinct score
    true_positives = np.cumsum(weights * late, axis=1, dtype=np.float64)[:, ends]
    false_positives = np.cumsum(weights, axis=1, dtype=np.float64)[:, ends] - true_positives
    clipped = np.clip(scores, 1e-15, 1 - 1e-15)
    log_losses = -np.where(late == 1, np.log(clipped), np.log1p(-clipped))
    total = weights.sum(axis=1, dtype=np.float64)
    called = int(np.searchsorted(-scores[ends], -threshold, side="right")) - 1
    return {
        **ranking(true_positives, false_positives),
        **decisions(*(part[:, called] if called >= 0 else 0 * total for part in (true_positives, false_positives)),
                    positives=true_positives[:, -1], negatives=false_positives[:, -1]),
        "log_loss": weights @ log_losses / total,
        "brier": weights @ (scores - late) ** 2 / total,
    }  # fmt: skip


def ranking(true_positives: np.ndarray, false_positives: np.ndarray) -> dict[str, np.ndarray]:
    """Area under the ROC curve (ties count half) and average precision, from counts at each distinct score."""
    positives, negatives = true_positives[:, -1], false_positives[:, -1]
    gained = np.diff(true_positives, axis=1, prepend=0)
    lost = np.diff(false_positives, axis=1, prepend=0)
    area = (lost * (true_positives - gained / 2)).sum(axis=1)
    precision = true_positives / np.maximum(true_positives + false_positives, 1e-12)
    return {
        "auc": area / (positives * negatives),
        "average_precision": (gained * precision).sum(axis=1) / positives,
    }


def decisions(tp: np.ndarray, fp: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> dict[str, np.ndarray]:
    """What the confusion matrix at the threshold says; a precision with nothing called late is 0."""
    precision = tp / np.maximum(tp + fp, 1e-12)
    recall = tp / positives
    fscores = {
        name: (1 + beta**2) * precision * recall / np.maximum(beta**2 * precision + recall, 1e-12)
        for name, beta in BETAS.items()
    }
    return {
        "accuracy": (tp + negatives - fp) / (positives + negatives),
        "precision": precision,
        "recall": recall,
        **fscores,
        "true_positive_rate": recall,
        "true_negative_rate": 1 - fp / negatives,
        "false_positive_rate": fp / negatives,
        "false_negative_rate": 1 - recall,
    }


def report(late: np.ndarray, scores: np.ndarray, threshold: float, values: dict[str, np.ndarray]) -> dict[str, Any]:
    """`binary_classification_metrics` as SageMaker's model quality format has it, its curves thinned out."""
    called = scores >= threshold
    matrix = {str(t): {str(p): int(((late == t) & (called == p)).sum()) for p in (0, 1)} for t in (0, 1)}
    false_rates, true_rates, precisions = curves(late, scores)
    scalars = {
        name: {"value": float(value[0]), "standard_deviation": spread(value[1:])} for name, value in values.items()
    }
    return {
        "confusion_matrix": matrix,
        **scalars,
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": false_rates.tolist(),
            "true_positive_rates": true_rates.tolist(),
        },
        "precision_recall_curve": {"precisions": precisions.tolist(), "recalls": true_rates.tolist()},
    }


def curves(late: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rates, true positive rates and precisions, as ever more flights are called late."""
    hits = np.cumsum(late[np.argsort(-scores, kind="stable")])
    called = np.unique(np.linspace(1, len(late), CURVE_POINTS).round().astype(int))
    true_positives = hits[called - 1]
    negatives = len(late) - hits[-1]
    return (called - true_positives) / negatives, true_positives / hits[-1], true_positives / called


def spread(replicates: np.ndarray) -> float:
    """Standard deviation of what could be computed."""
    return float(np.nanstd(replicates, ddof=1))


def comparison(
    challenger: dict[str, np.ndarray], champion: dict[str, np.ndarray], how: Bootstrap
) -> dict[str, dict[str, Any]]:
    """Challenger minus champion for each metric, on the same drawn days: value, standard deviation and interval."""
    tail = (1 - how.confidence) / 2
    result = {}
    for name, values in challenger.items():
        difference = values - champion[name]
        result[name] = {
            "difference": float(difference[0]),
            "standard_deviation": spread(difference[1:]),
            "confidence_interval": [float(edge) for edge in np.nanquantile(difference[1:], [tail, 1 - tail])],
            "confidence": how.confidence,
            "samples": how.samples,
            "seed": how.seed,
        }
    return result


def constraints(report: Mapping[str, Any]) -> dict[str, Any]:
    """What later months should keep up to, as Model Monitor's constraints.json of a binary classification.

    Model Monitor itself suggests the measured value, which every other month would miss by chance alone.
    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-baseline.html
    """
    limits = {}
    for name in MODEL_MONITOR:
        value, deviation = report[name]["value"], report[name]["standard_deviation"]
        lower = name in LOWER_IS_BETTER
        limits[name] = {
            "threshold": min(1.0, value + ALARM_DEVIATIONS * deviation)
            if lower
            else max(0.0, value - ALARM_DEVIATIONS * deviation),
            "comparison_operator": "GreaterThanThreshold" if lower else "LessThanThreshold",
        }
    return {"version": 0.0, "binary_classification_constraints": limits}
