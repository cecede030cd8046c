"""The comparison of a shadow with production, over the traffic of some hours."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from sagemaker_retraining.data_capture import Event, hourly_prefixes, read_event
from sagemaker_retraining.endpoints.state import model_names, version_arn
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.approval import short_name
from sagemaker_retraining.requests.hosting import CHALLENGER, VARIANT
from sagemaker_retraining.requests.processing import REPORT
from sagemaker_retraining.s3_uri import split_s3_uri
from sagemaker_retraining.shadow import compare, pair_up, shadow_report
from sagemaker_retraining.shadow.document import ShadowDocument, VariantTraffic
from sagemaker_retraining.xcom import ShadowReport

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import DatapointTypeDef
    from mypy_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

    from sagemaker_retraining.plan.document import VerifyConfig

COMPARISON = "comparison.json"
MOST_EVENTS = 50_000
"""So many of a variant are read, the oldest; a worker has them in memory."""
LEFT_TO_FILES = ("values", "largest")
_VARIANTS = {"production": VARIANT, "shadow": CHALLENGER}


def compare_shadow(
    hook: RetrainingHook, config: VerifyConfig, description: DescribeEndpointOutputTypeDef, since: datetime
) -> ShadowReport:
    """Write `report.html` and `comparison.json` below the report's URI; the figures without single predictions.

    The described endpoint has had its shadow `since` then.
    """
    endpoint, folder_uri = config["endpoint"], config["shadow"]["report_uri"]
    until = datetime.now(UTC)
    destination = description["DataCaptureConfig"]["DestinationS3Uri"]
    events = {
        side: captured_events(hook, list(hourly_prefixes(destination, endpoint, variant, since, until)), since)
        for side, variant in _VARIANTS.items()
    }
    pairs = pair_up(events["production"], events["shadow"])
    result: ShadowDocument = {
        "endpoint": endpoint,
        "versions": served_versions(hook, description["EndpointConfigName"]),
        "hours": (until - since).total_seconds() / 3600,
        "traffic": {side: traffic(hook, endpoint, variant, since, until) for side, variant in _VARIANTS.items()},
        "captured": {side: len(found) for side, found in events.items()},
        **compare(pairs, config["tolerance"]),
        "report": f"{folder_uri}{REPORT}",
    }
    key, page = config.get("kms_key_arn"), shadow_report(result).encode()
    figures = json.dumps(result, indent=1).encode()
    hook.write_bytes(f"{folder_uri}{COMPARISON}", figures, kms_key=key, content_type="application/json")
    hook.write_bytes(result["report"], page, kms_key=key, content_type="text/html; charset=utf-8")
    return cast("ShadowReport", {key: value for key, value in result.items() if key not in LEFT_TO_FILES})


def captured_events(hook: RetrainingHook, prefixes: list[str], since: datetime) -> list[Event]:
    """The captured events under these prefixes that are not older; times are whole seconds."""
    oldest = since.astimezone(UTC).replace(microsecond=0)
    events: list[Event] = []
    for prefix in prefixes:
        bucket, folder = split_s3_uri(prefix)
        for item in hook.list_objects(bucket, folder):
            for line in hook.read_bytes(f"s3://{bucket}/{item['Key']}").splitlines():
                event = read_event(line)
                if event and datetime.fromisoformat(event.at) >= oldest:
                    events.append(event)
            if len(events) >= MOST_EVENTS:
                hook.log.warning("%s: the first %d events are compared, up to %s", prefix, len(events), events[-1].at)
                return events
        hook.log.info("%s: %d events so far", prefix, len(events))
    return events


def served_versions(hook: RetrainingHook, config_name: str) -> dict[str, str]:
    """Of `production` and `shadow`: the versions' short names, or their models' where they are of no version."""
    models = model_names(hook, config_name)
    chosen = {side: models[variant] for side, variant in _VARIANTS.items()}
    return {side: short_name(version_arn(hook, model) or model) for side, model in chosen.items()}


def traffic(hook: RetrainingHook, endpoint: str, variant: str, since: datetime, until: datetime) -> VariantTraffic:
    """Requests, errors, and the model's latency (mean and longest), as CloudWatch has counted them.

    No percentiles: unlike sums, those of several datapoints cannot be put together.
    """
    client = hook.client("cloudwatch")
    # At most 1,440 datapoints an answer, and a multiple of an hour is right for metrics of any age.
    period = 3600 * math.ceil((until - since).total_seconds() / 3600 / 1440)

    def points(metric: str) -> list[DatapointTypeDef]:
        found: list[DatapointTypeDef] = client.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
            StartTime=since,
            EndTime=max(until, since + timedelta(seconds=1)),  # times are whole seconds, and the start must lie before
            Period=period,
            Statistics=["Sum", "SampleCount", "Maximum"],
        )["Datapoints"]
        return found

    def count(metric: str) -> int:
        return int(sum(point["Sum"] for point in points(metric)))

    latencies = points("ModelLatency")
    measured = sum(point["SampleCount"] for point in latencies)
    return {
        "invocations": count("Invocations"),
        "errors_4xx": count("Invocation4XXErrors"),
        "errors_5xx": count("Invocation5XXErrors"),
        "latency_ms": sum(point["Sum"] for point in latencies) / measured / 1000 if measured else None,
        "max_latency_ms": max((point["Maximum"] for point in latencies), default=0) / 1000 if measured else None,
    }
