"""The quality gate's decision table."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sagemaker_retraining.gate import decide

CONFIG: dict[str, Any] = {
    "problem": "binary_classification",
    "minimum": {"auc": 0.6},
    "maximum": {"log_loss": 0.7},
    "metric": "auc",
    "direction": "maximize",
    "tolerance": 0.01,
}


def evaluation(auc: float, log_loss: float = 0.5, champion: float | None = None) -> dict[str, Any]:
    def block(value: float) -> dict[str, Any]:
        return {
            "binary_classification_metrics": {
                "auc": {"value": value, "standard_deviation": 0.01},
                "log_loss": {"value": log_loss},
                "confusion_matrix": {"0": {"0": 1, "1": 2}},
            }
        }

    return {**block(auc), "champion": None if champion is None else block(champion)}


@pytest.mark.parametrize(
    ("given", "passed", "said"),
    [
        (evaluation(0.70), True, "no champion"),
        (evaluation(0.60), True, "all thresholds met"),
        (evaluation(0.59), False, "auc 0.5900 misses its minimum of 0.6"),
        (evaluation(0.70, log_loss=0.8), False, "log_loss 0.8000 misses its maximum of 0.7"),
        (evaluation(math.nan), False, "auc nan"),
        (evaluation(0.70, champion=0.69), True, "against the champion's 0.6900"),
        (evaluation(0.70, champion=0.705), True, "tolerance 0.01"),
        (evaluation(0.70, champion=0.72), False, "worse than the champion"),
        (evaluation(0.70, champion=math.nan), False, "worse than the champion"),
    ],
)
def test_decision(given: dict[str, Any], passed: bool, said: str) -> None:
    decision = decide(given, CONFIG)
    assert decision.passed is passed
    assert said in decision.reason


def test_minimize_turns_the_comparison_round() -> None:
    config = {
        **CONFIG,
        "problem": "regression",
        "metric": "rmse",
        "direction": "minimize",
        "minimum": {},
        "maximum": {},
    }
    block = {"regression_metrics": {"rmse": {"value": 2.0}}}
    worse = {"regression_metrics": {"rmse": {"value": 2.5}}}
    assert decide({**block, "champion": worse}, config).passed
    assert not decide({**worse, "champion": block}, config).passed


def test_a_missing_metric_fails_the_gate() -> None:
    config = {**CONFIG, "minimum": {"recall": 0.5}}
    assert "recall nan" in decide(evaluation(0.7), config).reason


def test_the_wrong_kind_of_metrics_names_what_is_there() -> None:
    with pytest.raises(ValueError, match="no 'regression_metrics' in"):
        decide(evaluation(0.7), {**CONFIG, "problem": "regression"})
