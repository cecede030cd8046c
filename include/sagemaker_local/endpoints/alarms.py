"""CloudWatch alarms on endpoints, evaluated on what really happened: moto keeps alarms but never looks at metrics.

An alarm is evaluated when it is on one of the metrics of `STATISTICS` with the dimensions EndpointName, VariantName
and, to watch one fleet only, EndpointConfigName. Any other alarm has the state that SetAlarmState gave it.
"""

from __future__ import annotations

import json
import logging
import math
import operator
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints.metrics import Metrics
from include.sagemaker_local.endpoints.tallies import Distribution, Tally

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef as Alarm

log = logging.getLogger(__name__)

Points = list[float | None]

ALARM, OK, INSUFFICIENT_DATA = "ALARM", "OK", "INSUFFICIENT_DATA"
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


class Alarms:
    """The alarms of CloudWatch as the deployment guardrails see them."""

    def __init__(self, ctx: Context, metrics: Metrics) -> None:
        self._ctx = ctx
        self._metrics = metrics

    def in_alarm(self, names: list[str]) -> list[str]:
        """Evaluate these alarms now; those in state ALARM."""
        if not names:
            return []
        found = self._ctx.client("cloudwatch").describe_alarms(AlarmNames=names)
        states = {alarm["AlarmName"]: self._evaluate(alarm) for alarm in found["MetricAlarms"]}
        states |= {alarm["AlarmName"]: alarm["StateValue"] for alarm in found["CompositeAlarms"]}
        return [name for name in names if states.get(name) == ALARM]

    def evaluate_all(self) -> None:
        """Bring the state of every alarm up to date."""
        for alarm in self._ctx.client("cloudwatch").describe_alarms()["MetricAlarms"]:
            self._evaluate(alarm)

    def _evaluate(self, alarm: Alarm) -> str:
        """The alarm's state now; stored in CloudWatch when it has changed."""
        before: str = alarm["StateValue"]
        points = self._points(alarm)
        if points is None:
            return before
        state = next_state(alarm, points)
        if state is not None and state != before:
            self._ctx.client("cloudwatch").set_alarm_state(
                AlarmName=alarm["AlarmName"],
                StateValue=state,
                StateReason=_reason(alarm, points, state),
                StateReasonData=json.dumps({"version": "1.0", "recentDatapoints": points}),
            )
            log.info("alarm %s: %s → %s", alarm["AlarmName"], before, state)
        return state or before

    def _points(self, alarm: Alarm) -> Points | None:
        """The last EvaluationPeriods datapoints, newest first; None for an alarm that cannot be evaluated here."""
        dimensions = {item["Name"]: item["Value"] for item in alarm.get("Dimensions", [])}
        statistic = STATISTICS.get(alarm.get("MetricName", ""))
        keys = set(dimensions) - {"EndpointConfigName"}
        if alarm.get("Namespace") != "AWS/SageMaker" or statistic is None or keys != {"EndpointName", "VariantName"}:
            return None
        where = (dimensions["EndpointName"], dimensions["VariantName"], dimensions.get("EndpointConfigName"))
        now, period = math.floor(time.time()) + 1, alarm["Period"]
        tallies = [
            self._metrics.between(*where, now - (number + 1) * period, now - number * period)
            for number in range(alarm["EvaluationPeriods"])
        ]
        name = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        return [statistic(tally, name) if tally.invocations else None for tally in tallies]


def next_state(alarm: Alarm, points: Points) -> str | None:
    """The state that these datapoints, newest first, mean; None when missing ones leave it as it is."""
    compare, _ = COMPARISONS[alarm["ComparisonOperator"]]
    missing = alarm.get("TreatMissingData") or "missing"
    if missing == "missing" and all(point is None for point in points):
        return INSUFFICIENT_DATA
    needed = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    known = [compare(point, alarm["Threshold"]) for point in points if point is not None]
    unknown = len(points) - len(known)
    breaching = sum(known) + (unknown if missing == "breaching" else 0)
    if breaching >= needed:
        return ALARM
    undecided = unknown if missing in ("missing", "ignore") else 0
    return OK if breaching + undecided < needed else None


def _count_statistic(count: Callable[[Tally], int]) -> Callable[[Tally, str], float]:
    """Each invocation is a datum of 1 when it is counted, else of 0."""

    def statistic(tally: Tally, name: str) -> float:
        total, number = count(tally), tally.invocations
        values = {
            "SampleCount": number,
            "Sum": total,
            "Average": total / number,
            "Minimum": int(total == number),
            "Maximum": int(total > 0),
        }
        if name in values:
            return values[name]
        return float(total >= number - max(1, math.ceil(_percent(name) * number / 100 - 1e-9)) + 1)

    return statistic


def _latency_statistic(latencies: Callable[[Tally], Distribution]) -> Callable[[Tally, str], float]:
    def statistic(tally: Tally, name: str) -> float:
        values, number = latencies(tally), tally.invocations
        known = {
            "SampleCount": number,
            "Sum": values.sum,
            "Average": values.sum / number,
            "Minimum": values.low,
            "Maximum": values.high,
        }
        return known[name] if name in known else values.percentile(_percent(name))

    return statistic


def _percent(extended: str) -> float:
    """Of `p99.9`; moto refuses the other forms of an ExtendedStatistic."""
    return float(extended.removeprefix("p"))


STATISTICS: dict[str, Callable[[Tally, str], float]] = {
    "Invocations": _count_statistic(lambda tally: tally.invocations),
    "Invocation4XXErrors": _count_statistic(lambda tally: tally.errors_4xx),
    "Invocation5XXErrors": _count_statistic(lambda tally: tally.errors_5xx),
    "ModelLatency": _latency_statistic(lambda tally: tally.model),
    "OverheadLatency": _latency_statistic(lambda tally: tally.overhead),
}


def _reason(alarm: Alarm, points: Points, state: str) -> str:
    """A StateReason in CloudWatch's words."""
    compare, words = COMPARISONS[alarm["ComparisonOperator"]]
    known = [point for point in points if point is not None]
    if not known:
        return f"Insufficient Data: {len(points)} datapoints were unknown."
    crossing = [point for point in known if compare(point, alarm["Threshold"]) == (state == ALARM)]
    values = f"{', '.join(f'{point:g}' for point in crossing)} ({datetime.now(UTC):%d/%m/%y %H:%M:%S})"
    verb = ("was" if len(crossing) == 1 else "were") + ("" if state == ALARM else " not")
    return (
        f"Threshold Crossed: {len(crossing)} out of the last {len(points)} datapoints [{values}] "
        f"{verb} {words} the threshold ({alarm['Threshold']})."
    )
