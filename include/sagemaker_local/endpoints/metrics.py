"""Metrics of endpoints: counted in memory on every request, sent to CloudWatch every few seconds, kept for alarms."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints.tallies import Distribution, History, Tally

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.literals import StandardUnitType
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, MetricDatumTypeDef, StatisticSetTypeDef

log = logging.getLogger(__name__)


class Fleet(NamedTuple):
    """What runs one variant of one endpoint config of an endpoint."""

    endpoint: str
    variant: str
    config: str


class Metrics:
    """Namespace AWS/SageMaker, dimensions EndpointName and VariantName, for alarms also EndpointConfigName."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = threading.Lock()
        self._unsent: dict[tuple[str, str], Tally] = {}
        self._histories: dict[Fleet, History] = {}

    def observe(self, fleet: Fleet, status: int, model_seconds: float, overhead_seconds: float) -> None:
        """Count one invocation; `status` is the container's, 0 when it did not answer."""
        model, overhead = model_seconds * 1e6, overhead_seconds * 1e6
        with self._lock:
            self._unsent.setdefault((fleet.endpoint, fleet.variant), Tally()).add(status, model, overhead)
            history = self._histories.setdefault(fleet, History())
        history.add(time.time(), status, model, overhead)

    def between(self, endpoint: str, variant: str, config: str | None, start: float, end: float) -> Tally:
        """What happened at a variant in this time, with all configs when none is named."""
        with self._lock:
            histories = [
                history
                for fleet, history in self._histories.items()
                if (endpoint, variant) == fleet[:2] and config in (None, fleet.config)
            ]
        total = Tally()
        for history in histories:
            total.merge(history.between(start, end))
        return total

    def forget(self, endpoint: str) -> None:
        """Keep no history of an endpoint that is gone."""
        with self._lock:
            for fleet in [fleet for fleet in self._histories if fleet.endpoint == endpoint]:
                del self._histories[fleet]

    def flush(self) -> None:
        """Send what was counted since the last time."""
        with self._lock:
            unsent, self._unsent = self._unsent, {}
        data = [datum for (endpoint, variant), tally in unsent.items() for datum in _data(endpoint, variant, tally)]
        for start in range(0, len(data), 1000):
            try:
                self._ctx.client("cloudwatch").put_metric_data(
                    Namespace="AWS/SageMaker", MetricData=data[start : start + 1000]
                )
            except (ClientError, BotoCoreError) as error:
                log.warning("endpoint metrics of the last seconds are lost: %s", error)


def _data(endpoint: str, variant: str, tally: Tally) -> list[MetricDatumTypeDef]:
    names = {"EndpointName": endpoint, "VariantName": variant}
    dimensions: list[DimensionTypeDef] = [{"Name": name, "Value": value} for name, value in names.items()]
    count = tally.invocations

    def datum(name: str, unit: StandardUnitType, sum_: float, low: float, high: float) -> MetricDatumTypeDef:
        statistics: StatisticSetTypeDef = {"SampleCount": count, "Sum": sum_, "Minimum": low, "Maximum": high}
        return {
            "MetricName": name,
            "Dimensions": dimensions,
            "Timestamp": datetime.now(UTC),
            "Unit": unit,
            "StatisticValues": statistics,
        }

    def errors(name: str, number: int) -> MetricDatumTypeDef:
        return datum(name, "None", number, int(number == count), int(number > 0))

    def latency(name: str, values: Distribution) -> MetricDatumTypeDef:
        return datum(name, "Microseconds", values.sum, values.low, values.high)

    return [
        datum("Invocations", "None", count, 1, 1),
        errors("Invocation4XXErrors", tally.errors_4xx),
        errors("Invocation5XXErrors", tally.errors_5xx),
        latency("ModelLatency", tally.model),
        latency("OverheadLatency", tally.overhead),
    ]
