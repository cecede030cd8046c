"""The quality gate's decision table, and what it says about an evaluation.json that it cannot use."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.gate import EvaluationError, decide_gate

CONFIG: dict[str, Any] = {
    "problem": "binary_classification",
    "minimum": {"auc": 0.6},
    "maximum": {"log_loss": 0.7},
    "metric": "auc",
    "direction": "maximize",
    "require": "not_worse",
    "tolerance": 0.01,
    "on_failure": "fail",
    "champion": None,
}
KEYS = {
    "passed", "reason", "on_failure", "metric", "challenger", "champion", "comparison", "not_compared", "checks",
    "warnings",
}  # fmt: skip


def block(auc: Any, log_loss: Any = 0.5) -> dict[str, Any]:
    return {
        "binary_classification_metrics": {
            "auc": {"value": auc, "standard_deviation": 0.01},
            "log_loss": {"value": log_loss, "standard_deviation": "NaN"},
            "confusion_matrix": {"0": {"0": 1, "1": 2}},
        }
    }


def evaluation(
    auc: Any, log_loss: Any = 0.5, champion: Any = None, interval: Any = None, **more: Any
) -> dict[str, Any]:
    """An evaluation.json; `interval` is that of the difference, challenger minus champion."""
    document: dict[str, Any] = {**block(auc, log_loss), "champion": None, "champion_error": None, "comparison": None}
    if champion is not None:
        document["champion"] = block(champion)
    if interval is not None:
        compared = {"difference": auc - champion, "confidence_interval": interval, "confidence": 0.95, "samples": 500}
        document["comparison"] = {"auc": compared}
    return {**document, "holdout": {"rows": 100}, **more}


@pytest.mark.parametrize(
    ("given", "passed", "said"),
    [
        (evaluation(0.70), True, "all thresholds met; no champion to compare with"),
        (evaluation(0.60), True, "all thresholds met"),
        (evaluation(1), True, "all thresholds met"),
        (evaluation(0.59), False, "auc 0.5900 misses its minimum of 0.6"),
        (evaluation(0.70, log_loss=0.8), False, "log_loss 0.8000 misses its maximum of 0.7"),
        (evaluation(0.5, log_loss=0.8), False, "auc 0.5000 misses its minimum of 0.6; log_loss 0.8000 misses"),
    ],
)
def test_thresholds_decide_when_there_is_no_champion(given: dict[str, Any], passed: bool, said: str) -> None:
    decision = decide_gate(given, CONFIG)
    assert decision.passed is passed
    assert said in decision.reason
    assert decision.warnings == ()


@pytest.mark.parametrize(
    ("require", "auc", "interval", "passed", "said"),
    [
        ("not_worse", 0.71, [-0.005, 0.03], True, "not worse than the champion (tolerance 0.01): auc 0.7100 against"),
        ("not_worse", 0.71, [-0.01, 0.03], True, "95 % interval -0.0100 to +0.0300"),
        ("not_worse", 0.71, [-0.011, 0.03], False, "may be worse than the champion (tolerance 0.01): auc 0.7100"),
        ("not_worse", 0.68, [-0.03, 0.01], False, "worse than the champion (tolerance 0.01): auc 0.6800"),
        ("better", 0.71, [0.001, 0.02], True, "better than the champion: auc 0.7100 against the champion's 0.7000"),
        ("better", 0.71, [0.0, 0.02], False, "not shown to be better than the champion"),
        ("better", 0.70, [-0.01, 0.01], False, "not better than the champion"),
        ("nothing", 0.61, [-0.12, -0.06], True, "compared for the record: auc 0.6100 against the champion's 0.7000"),
    ],
)
def test_comparison(require: str, auc: float, interval: list[float], passed: bool, said: str) -> None:
    decision = decide_gate(evaluation(auc, champion=0.70, interval=interval), {**CONFIG, "require": require})
    assert decision.passed is passed
    assert said in decision.reason
    result = decision.to_dict()
    assert result["comparison"]["confidence_interval"] == interval
    assert (result["comparison"]["confidence"], result["comparison"]["samples"]) == (0.95, 500)
    assert result["warnings"] == []


@pytest.mark.parametrize(
    ("direction", "challenger", "champion", "interval", "passed"),
    [
        ("minimize", 2.0, 2.5, [-0.8, -0.2], True),
        ("minimize", 2.5, 2.0, [0.2, 0.8], False),
        ("minimize", 2.0, 2.0, [-0.2, 0.005], True),
        ("minimize", 2.0, 2.0, [-0.2, 0.2], False),
        ("maximize", 2.5, 2.0, [0.2, 0.8], True),
    ],
)
def test_regression(direction: str, challenger: float, champion: float, interval: list[float], passed: bool) -> None:
    config = {**CONFIG, "problem": "regression", "metric": "rmse", "direction": direction, "minimum": {}, "maximum": {}}
    given = {
        "regression_metrics": {"rmse": {"value": challenger, "standard_deviation": 0.1}},
        "champion": {"regression_metrics": {"rmse": {"value": champion}}},
        "comparison": {"rmse": {"difference": challenger - champion, "confidence_interval": interval}},
    }
    assert decide_gate(given, config).passed is passed


def test_multiclass() -> None:
    problem = "multiclass_classification"
    config = {**CONFIG, "problem": problem, "metric": "accuracy", "minimum": {"weighted_f1": 0.5}, "maximum": {}}
    metrics = {"confusion_matrix": {"a": {"a": 3}}, "accuracy": {"value": 0.8}, "weighted_f1": {"value": 0.6}}
    decision = decide_gate({f"{problem}_metrics": metrics}, config)
    assert (decision.passed, decision.challenger) == (True, {"accuracy": 0.8, "weighted_f1": 0.6})
    metrics["weighted_f1"] = {"value": 0.4}
    assert decide_gate({f"{problem}_metrics": metrics}, config).reason == "weighted_f1 0.4000 misses its minimum of 0.5"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("champion", [None, 0.7])
@pytest.mark.parametrize("require", ["not_worse", "nothing"])
def test_a_challenger_that_was_not_measured_is_refused(value: float, champion: float | None, require: str) -> None:
    document = {**block(value), "champion": champion and block(champion)}
    decision = decide_gate(document, {**CONFIG, "require": require})
    assert not decision.passed
    assert f"auc is {float(value) if value != 10**400 else math.inf}: it was not measured" == decision.reason
    assert decision.to_dict()["challenger"] == {"auc": None, "log_loss": 0.5}
    json.dumps(decision.to_dict(), allow_nan=False)  # or Airflow's database could not hold it


def test_a_threshold_on_a_metric_that_was_not_measured_is_missed() -> None:
    decision = decide_gate(evaluation(0.7, log_loss=math.nan), CONFIG)
    assert (decision.passed, decision.reason) == (False, "log_loss is nan: it was not measured")


def test_a_champion_that_no_longer_loads_leaves_the_thresholds_and_says_so() -> None:
    document = evaluation(0.7, champion_error="no module named\n  'old'")
    decision = decide_gate(document, {**CONFIG, "require": "better"})
    assert decision.passed
    said = "not compared with the champion, the thresholds alone decide: it could not be scored: no module named 'old'"
    assert decide_gate(document, CONFIG).to_dict()["not_compared"] == "it could not be scored: no module named 'old'"
    assert decide_gate(evaluation(0.7), CONFIG).to_dict()["not_compared"] is None
    assert decision.reason == f"all thresholds met; {said}"
    assert decision.warnings == (said,)
    refused = decide_gate({**document, **block(0.5)}, CONFIG)
    assert not refused.passed
    assert refused.reason == f"auc 0.5000 misses its minimum of 0.6; {said}"


def test_a_champion_whose_artefact_is_gone_leaves_the_thresholds_and_says_so() -> None:
    config = {**CONFIG, "champion": "arn", "champion_error": "its model.tar.gz is gone"}
    decision = decide_gate(evaluation(0.7), config)
    assert decision.passed
    (warning,) = decision.warnings
    assert warning.endswith("the thresholds alone decide: it could not be scored: its model.tar.gz is gone")


def test_a_champion_whose_metric_is_nan_counts_as_one_that_could_not_be_scored() -> None:
    decision = decide_gate(evaluation(0.7, champion=math.nan), CONFIG)
    assert decision.passed
    assert "not compared with the champion, the thresholds alone decide: its auc is nan" in decision.reason
    assert len(decision.warnings) == 1
    assert decision.to_dict()["champion"] == {"auc": None, "log_loss": 0.5}
    assert decision.comparison is None


def test_a_champion_that_the_script_forgot_is_not_a_first_run() -> None:
    decision = decide_gate(evaluation(0.7), {**CONFIG, "champion": "arn:aws:sagemaker:…/demo/3"})
    assert decision.passed
    assert "evaluate was given arn:aws:sagemaker:…/demo/3 and wrote neither its metrics nor" in decision.reason
    assert len(decision.warnings) == 1


@pytest.mark.parametrize(("champion", "passed"), [(0.69, True), (0.71, True), (0.72, False)])
@pytest.mark.parametrize("comparison", [None, {}, {"auc": {}}, {"auc": {"confidence_interval": [math.nan, math.nan]}}])
def test_without_an_interval_the_values_are_compared_and_a_warning_says_so(
    champion: float, passed: bool, comparison: Any
) -> None:
    decision = decide_gate({**evaluation(0.7, champion=champion), "comparison": comparison}, CONFIG)
    assert decision.passed is passed
    assert "no interval" in decision.reason
    (warning,) = decision.warnings
    assert "comparison.auc.confidence_interval is" in warning
    assert "the values of auc alone are compared" in warning


def test_an_empty_test_month_is_refused_whatever_else_is_written() -> None:
    for document in ({"holdout": {"rows": 0}}, evaluation(0.9, champion=0.1, holdout={"rows": 0})):
        decision = decide_gate(document, {**CONFIG, "champion": "arn"})
        assert (decision.passed, decision.reason) == (False, "the test month has no rows: nothing was measured")
        assert decision.to_dict()["challenger"] == {}


def test_numbers_the_gate_does_not_need_may_be_anything_and_are_named() -> None:
    document = evaluation(0.7)
    document["binary_classification_metrics"]["precision"] = {"value": "NaN"}
    decision = decide_gate(document, CONFIG)
    assert decision.passed
    assert decision.warnings == (
        'binary_classification_metrics.precision.value is "NaN", which is not a number, and is left out',
    )


METRICS = "binary_classification_metrics"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([1, 2], "s3://b/e.json: is [1, 2]; expected an object with binary_classification_metrics"),
        (None, "s3://b/e.json: is null; expected an object"),
        ({}, f"{METRICS} is null; expected an object .* whose problem is binary_classification; there is nothing"),
        ({"regression_metrics": {}}, f"{METRICS} is null; .* there is regression_metrics"),
        ({METRICS: [0.7]}, rf"{METRICS} is \[0.7\]; expected an object"),
        ({METRICS: {"log_loss": {"value": 0.1}}}, f"{METRICS}.auc is not there; model.yaml's .* has log_loss"),
        (block("0.7"), f'{METRICS}.auc.value is "0.7"; expected a number'),
        (block(True), f"{METRICS}.auc.value is true; expected a number"),
        (block(None), f"{METRICS}.auc.value is null; expected a number"),
        (block([0.7]), rf"{METRICS}.auc.value is \[0.7\]; expected a number"),
        ({METRICS: {"auc": 0.7, "log_loss": {"value": 1}}}, f"{METRICS}.auc is 0.7; expected an object with a number"),
        ({METRICS: {"auc": {}, "log_loss": {"value": 1}}}, rf"{METRICS}.auc is \{{\}}; expected an object"),
        (block(0.7, log_loss="x" * 200), f'{METRICS}.log_loss.value is "{"x" * 79}…; expected a number'),
        ({**block(0.7), "champion": 0.7}, "champion is 0.7; expected an object"),
        ({**block(0.7), "champion": {}}, f"champion.{METRICS} is null"),
        ({**block(0.7), "champion": block(None)}, f"champion.{METRICS}.auc.value is null; expected a number"),
        ({**block(0.7), "champion_error": True}, "champion_error is true; expected a sentence, or null"),
        ({**block(0.7), "holdout": {"rows": -1}}, "holdout.rows is -1; expected the number of test rows"),
        ({**block(0.7), "holdout": {"rows": "0"}}, 'holdout.rows is "0"; expected the number'),
        ({**block(0.7), "holdout": {"rows": False}}, "holdout.rows is false; expected the number"),
        ({**block(0.7), "holdout": 5}, "holdout is 5; expected an object with rows"),
        ({**block(0.7), "champion": block(0.6), "comparison": [1]}, r"comparison is \[1\]; expected an object"),
        ({**block(0.7), "champion": block(0.6), "comparison": {"auc": 1}}, "comparison.auc is 1; expected an object"),
        *(
            (evaluation(0.7, champion=0.6, interval=interval), f"auc.confidence_interval is .*; expected {expected}")
            for interval, expected in [
                ("0 to 1", "two numbers"),
                ([0.1], "two numbers"),
                ([0.1, "0.2"], "two numbers"),
                ([0.1, None], "two numbers"),
                ([0.2, 0.1], "the lower edge first"),
            ]
        ),
        (
            {
                **evaluation(0.7, champion=0.6),
                "comparison": {"auc": {"difference": -0.1, "confidence_interval": [-0.2, 0]}},
            },
            "comparison.auc.difference is -0.1; expected challenger minus champion, which is 0.1",
        ),
    ],
)
def test_what_cannot_be_used_names_place_value_and_what_would_be_right(document: Any, said: str) -> None:
    with pytest.raises(EvaluationError, match=said.replace("[1, 2]", r"\[1, 2\]")) as raised:
        decide_gate(document, CONFIG, "s3://b/e.json")
    assert str(raised.value).startswith("s3://b/e.json: ")
    assert "\n" not in str(raised.value)


def test_the_result_is_what_later_tasks_read() -> None:
    result = decide_gate(evaluation(0.7, champion=0.69, interval=[-0.005, 0.02]), CONFIG).to_dict()
    assert set(result) == KEYS
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["champion"] == {"auc": 0.69, "log_loss": 0.5}
    assert [(check["subject"], check["required"], check["met"]) for check in result["checks"]] == [
        ("auc", "at least 0.6", True),
        ("log_loss", "at most 0.7", True),
        ("auc against the champion", "loss of at most 0.01", True),
    ]


values = st.floats(-100, 100).map(lambda value: round(value, 6))
requirements = st.sampled_from(["not_worse", "better", "nothing"])


@st.composite
def compared(draw: st.DrawFn) -> tuple[float, float, list[float]]:
    """Challenger, champion, and an interval around their difference."""
    new, old = draw(values), draw(values)
    low, high = draw(st.floats(0, 10)), draw(st.floats(0, 10))
    return new, old, [new - old - low, new - old + high]


def regression(new: float, old: float, interval: list[float] | None) -> dict[str, Any]:
    return {
        "regression_metrics": {"m": {"value": new}},
        "champion": {"regression_metrics": {"m": {"value": old}}},
        "comparison": interval and {"m": {"difference": new - old, "confidence_interval": interval}},
    }


def gate(require: str, tolerance: float, direction: str = "maximize", **bounds: dict[str, float]) -> dict[str, Any]:
    base = {**CONFIG, "problem": "regression", "metric": "m", "minimum": {}, "maximum": {}, **bounds}
    return {**base, "require": require, "tolerance": tolerance, "direction": direction}


@given(compared(), requirements, st.floats(0, 20), values, st.booleans())
def test_more_and_less_are_mirror_images(
    case: tuple[float, float, list[float]], require: str, tolerance: float, bound: float, with_interval: bool
) -> None:
    new, old, (low, high) = case
    up = decide_gate(
        regression(new, old, [low, high] if with_interval else None),
        gate(require, tolerance, "maximize", minimum={"m": bound}),
    )
    down = decide_gate(
        regression(-new, -old, [-high, -low] if with_interval else None),
        gate(require, tolerance, "minimize", maximum={"m": -bound}),
    )
    assert up.passed == down.passed


@given(compared(), st.floats(0, 20), st.floats(0, 20))
def test_what_passes_with_less_tolerance_passes_with_more(
    case: tuple[float, float, list[float]], one: float, other: float
) -> None:
    strict, lenient = (decide_gate(regression(*case), gate("not_worse", t)).passed for t in sorted((one, other)))
    assert lenient or not strict


@given(compared(), st.floats(0, 20))
def test_better_is_the_strictest_and_nothing_the_mildest(
    case: tuple[float, float, list[float]], tolerance: float
) -> None:
    better, not_worse, nothing = (
        decide_gate(regression(*case), gate(require, tolerance)).passed
        for require in ("better", "not_worse", "nothing")
    )
    assert (not_worse or not better) and nothing


@given(compared(), requirements, st.floats(0, 20))
def test_a_better_challenger_never_loses(
    case: tuple[float, float, list[float]], require: str, tolerance: float
) -> None:
    """With the same uncertainty, adding to the challenger's value cannot turn a yes into a no."""
    new, old, (low, high) = case
    before = decide_gate(regression(new, old, [low, high]), gate(require, tolerance)).passed
    after = decide_gate(regression(new + 1, old, [low + 1, high + 1]), gate(require, tolerance)).passed
    assert after or not before


def test_the_tolerance_itself_is_tolerated() -> None:
    """0.7 - 0.705 is -0.0050000000000000044 to a computer."""
    assert decide_gate(regression(0.7, 0.705, None), gate("not_worse", 0.005)).passed
    assert not decide_gate(regression(0.7, 0.7051, None), gate("not_worse", 0.005)).passed
