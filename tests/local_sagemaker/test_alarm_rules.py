"""What alarms make of datapoints, and how much of what happened is kept for them."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest

from include.sagemaker_local.endpoints.alarms import STATISTICS, Points, next_state
from include.sagemaker_local.endpoints.tallies import Distribution, History, Tally

ABOVE, BELOW = 9.0, 1.0


@pytest.mark.parametrize(
    ("points", "missing", "state"),
    [
        ([ABOVE, ABOVE, ABOVE], "missing", "ALARM"),
        ([BELOW, ABOVE, ABOVE], "missing", "ALARM"),
        ([BELOW, BELOW, ABOVE], "missing", "OK"),
        ([None, None, None], "missing", "INSUFFICIENT_DATA"),
        ([None, None, None], "ignore", None),
        ([None, None, None], "breaching", "ALARM"),
        ([None, None, None], "notBreaching", "OK"),
        ([ABOVE, None, None], "missing", None),
        ([ABOVE, None, None], "breaching", "ALARM"),
        ([ABOVE, None, None], "notBreaching", "OK"),
        ([BELOW, BELOW, None], "missing", "OK"),
        ([ABOVE, ABOVE, None], "ignore", "ALARM"),
    ],
)
def test_two_of_three_datapoints_make_an_alarm(points: Points, missing: str, state: str | None) -> None:
    alarm = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 5, "EvaluationPeriods": 3}
    assert next_state({**alarm, "DatapointsToAlarm": 2, "TreatMissingData": missing}, points) == state


@pytest.mark.parametrize(
    ("comparison", "point", "state"),
    [
        ("GreaterThanThreshold", 5, "OK"),
        ("GreaterThanOrEqualToThreshold", 5, "ALARM"),
        ("LessThanThreshold", 5, "OK"),
        ("LessThanOrEqualToThreshold", 5, "ALARM"),
        ("LessThanThreshold", 4, "ALARM"),
    ],
)
def test_comparisons(comparison: str, point: float, state: str) -> None:
    alarm: dict[str, Any] = {"ComparisonOperator": comparison, "Threshold": 5, "EvaluationPeriods": 1}
    assert next_state(alarm, [point]) == state


def test_statistics_of_errors_and_latencies() -> None:
    tally = Tally()
    for number in range(1, 101):
        tally.add(500 if number <= 3 else 400 if number == 4 else 200, number * 1000.0, 10.0)
    values = {name: STATISTICS["ModelLatency"](tally, name) for name in ("Sum", "Average", "Minimum", "Maximum")}
    assert values == {"Sum": 5_050_000, "Average": 50_500, "Minimum": 1000, "Maximum": 100_000}
    assert STATISTICS["ModelLatency"](tally, "p99") == pytest.approx(99_000, rel=0.01)
    assert STATISTICS["OverheadLatency"](tally, "p50") == 10
    assert STATISTICS["Invocations"](tally, "Sum") == 100
    assert STATISTICS["Invocation5XXErrors"](tally, "Average") == 0.03
    assert STATISTICS["Invocation4XXErrors"](tally, "Sum") == 1
    assert [STATISTICS["Invocation5XXErrors"](tally, name) for name in ("p97", "p98")] == [0, 1]


def test_percentiles_are_within_one_percent() -> None:
    draw = random.Random(5)  # noqa: S311
    values = sorted(draw.lognormvariate(8, 1.5) for _ in range(5000))
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    for percent, expected in ((50, values[2499]), (90, values[4499]), (99, values[4949]), (99.9, values[4994])):
        assert distribution.percentile(percent) == pytest.approx(expected, rel=0.01)


def test_history_is_exact_for_ten_minutes_and_small_for_three_hours() -> None:
    history, draw = History(), random.Random(6)  # noqa: S311
    for second in range(4 * 3600):
        for _ in range(3):
            history.add(1_000_000_020 + second, 200, draw.lognormvariate(8, 1), 100)
    end = 1_000_000_020 + 4 * 3600
    assert history.between(end - 10, end).invocations == 30
    assert history.between(end - 590, end - 580).invocations == 30
    assert history.between(end - 3600, end - 1800).invocations == 3 * 1800
    assert 3 * 3 * 3600 <= history.between(0, end).invocations < 3 * 3 * 3600 + 3 * 720
    buckets = [sys.getsizeof(tally.model.buckets) for _, tally in (*history._seconds, *history._minutes)]
    assert sum(buckets) < 4_000_000
