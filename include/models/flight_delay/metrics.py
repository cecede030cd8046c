"""Quality of probabilities for a binary target, with the uncertainty that comes from having only one month of days.

Flights of one day share its weather, so the bootstrap draws whole days, not flights: drawing flights would promise a
precision that a single month does not have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

REPLICATES = 500
AT_ONCE = 50
"""Replicates worked on together; more need more memory and gain no time."""

SEED = 2013
CONFIDENCE = 0.95
CURVE_POINTS = 100
BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}


def day_weights(dates: pd.Series) -> np.ndarray:
    """(1 + REPLICATES, flights) weights: first all ones, then how often each flight's day was drawn."""
    day, names = pd.factorize(dates)
    draws = np.random.default_rng(SEED).multinomial(len(names), np.full(len(names), 1 / len(names)), size=REPLICATES)
    return np.vstack([np.ones(len(day)), draws[:, day]]).astype(np.float32)


def bootstrap(late: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every scalar metric: the value first, then one for each replicate."""
    starts = range(0, len(weights), AT_ONCE)
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
        name: {"value": float(value[0]), "standard_deviation": float(value[1:].std(ddof=1))}
        for name, value in values.items()
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


def comparison(challenger: dict[str, np.ndarray], champion: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Challenger minus champion for each metric, on the same drawn days: value, standard deviation and interval."""
    tail = (1 - CONFIDENCE) / 2
    result = {}
    for name, values in challenger.items():
        difference = values - champion[name]
        result[name] = {
            "difference": float(difference[0]),
            "standard_deviation": float(difference[1:].std(ddof=1)),
            "confidence_interval": [float(edge) for edge in np.quantile(difference[1:], [tail, 1 - tail])],
            "confidence": CONFIDENCE,
        }
    return result
