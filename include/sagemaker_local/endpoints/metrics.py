"""CloudWatch metrics of endpoints: summed in memory on every request, sent every few seconds."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from include.sagemaker_local.service import Context

log = logging.getLogger(__name__)


@dataclass
class Totals:
    """What happened at one variant since the last flush; latencies in microseconds."""

    invocations: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    latency_sum: float = 0.0
    latency_min: float = float("inf")
    latency_max: float = 0.0

    def add(self, status: int, latency: float) -> None:
        """Count one answer of the model."""
        self.invocations += 1
        self.errors_4xx += 400 <= status < 500
        self.errors_5xx += status >= 500 or status == 0
        self.latency_sum += latency
        self.latency_min = min(self.latency_min, latency)
        self.latency_max = max(self.latency_max, latency)


class Metrics:
    """Namespace AWS/SageMaker, dimensions EndpointName and VariantName."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = threading.Lock()
        self._totals: dict[tuple[str, str], Totals] = {}

    def observe(self, endpoint: str, variant: str, status: int, seconds: float) -> None:
        """Count one invocation; `status` is the container's, 0 when it did not answer."""
        with self._lock:
            self._totals.setdefault((endpoint, variant), Totals()).add(status, seconds * 1e6)

    def flush(self) -> None:
        """Send what was counted since the last time."""
        with self._lock:
            totals, self._totals = self._totals, {}
        data = [datum for (endpoint, variant), total in totals.items() for datum in _data(endpoint, variant, total)]
        for start in range(0, len(data), 1000):
            try:
                self._ctx.client("cloudwatch").put_metric_data(
                    Namespace="AWS/SageMaker", MetricData=data[start : start + 1000]
                )
            except (ClientError, BotoCoreError) as error:
                log.warning("endpoint metrics of the last seconds are lost: %s", error)


def _data(endpoint: str, variant: str, total: Totals) -> list[dict[str, Any]]:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    count = total.invocations

    def datum(name: str, unit: str, sum_: float, low: float, high: float) -> dict[str, Any]:
        statistics = {"SampleCount": count, "Sum": sum_, "Minimum": low, "Maximum": high}
        return {
            "MetricName": name,
            "Dimensions": dimensions,
            "Timestamp": datetime.now(UTC),
            "Unit": unit,
            "StatisticValues": statistics,
        }

    def errors(name: str, number: int) -> dict[str, Any]:
        return datum(name, "None", number, int(number == count), int(number > 0))

    return [
        datum("Invocations", "None", count, 1, 1),
        errors("Invocation4XXErrors", total.errors_4xx),
        errors("Invocation5XXErrors", total.errors_5xx),
        datum("ModelLatency", "Microseconds", total.latency_sum, total.latency_min, total.latency_max),
    ]
