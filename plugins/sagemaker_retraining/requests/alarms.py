"""PutMetricAlarm: what rolls an update of the endpoint back.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sagemaker_retraining.config.serving import Alarm
from sagemaker_retraining.plan import RunPlan, fingerprint

# The model's own answers; SageMaker sends 1 for an error and 0 for none, so the average is the share.
_METRICS: dict[str, dict[str, Any]] = {
    "error_rate": {"MetricName": "Invocation5XXErrors", "Statistic": "Average"},
    "client_error_rate": {"MetricName": "Invocation4XXErrors", "Statistic": "Average"},
    "latency_p99_ms": {"MetricName": "ModelLatency", "ExtendedStatistic": "p99"},
}
METRIC_NAMES = tuple(_METRICS)


def alarm_requests(plan: RunPlan, variant: str) -> list[dict[str, Any]]:
    """The alarms to create: those that model.yaml describes.

    Named after their content, so that an alarm is never changed under its name while another update relies on it.
    """
    return [_request(plan, variant, alarm) for alarm in plan.model.deploy.alarms if alarm.name is None]


def on_new_fleet(deploy: Mapping[str, Any], config: str) -> dict[str, Any]:
    """The plan's `deploy` with alarms that see only what runs this endpoint config: the new fleet of a roll-out.

    By endpoint and variant alone an alarm sees old and new fleet together, and errors of the old one would send the new
    one back. The config's name follows from the approved version, so it comes to the dimensions here, and the alarms
    get names of their own. https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    """
    if not deploy.get("alarms"):
        return dict(deploy)
    alarms = {alarm["AlarmName"]: _of_config(alarm, config) for alarm in deploy["alarms"]}
    deployment = copy.deepcopy(deploy["deployment"])
    for watched in deployment["AutoRollbackConfiguration"]["Alarms"]:
        if watched["AlarmName"] in alarms:
            watched["AlarmName"] = alarms[watched["AlarmName"]]["AlarmName"]
    return {**deploy, "alarms": list(alarms.values()), "deployment": deployment}


def _of_config(alarm: Mapping[str, Any], config: str) -> dict[str, Any]:
    dimensions = [*alarm["Dimensions"], {"Name": "EndpointConfigName", "Value": config}]
    stem = alarm["AlarmName"].rpartition("-")[0]
    content = {key: value for key, value in alarm.items() if key not in {"AlarmName", "Tags"}}
    number = fingerprint({**content, "Dimensions": dimensions})[:10]
    return {**alarm, "AlarmName": f"{stem}-{number}", "Dimensions": dimensions}


def alarm_names(plan: RunPlan, variant: str) -> list[str]:
    """All alarms of the roll-out, in the order of model.yaml."""
    return [alarm.name or _request(plan, variant, alarm)["AlarmName"] for alarm in plan.model.deploy.alarms]


def _request(plan: RunPlan, variant: str, alarm: Alarm) -> dict[str, Any]:
    metric, above = str(alarm.metric), float(alarm.above or 0)
    request: dict[str, Any] = {
        "AlarmDescription": f"{metric} of {plan.endpoint} above {above:g}: a roll-out goes back",
        "Namespace": "AWS/SageMaker",
        **_METRICS[metric],
        "Dimensions": [
            {"Name": "EndpointName", "Value": plan.endpoint},
            {"Name": "VariantName", "Value": variant},
        ],
        "Period": alarm.period_seconds,
        "EvaluationPeriods": alarm.periods,
        "Threshold": above * 1000 if metric == "latency_p99_ms" else above,  # ModelLatency is in microseconds
        "ComparisonOperator": "GreaterThanThreshold",
        # No requests, no errors: a night without traffic must not roll anything back.
        "TreatMissingData": "notBreaching",
    }
    kind = metric.replace("_", "-")
    return {
        "AlarmName": f"{plan.endpoint}-{kind}-{fingerprint(request)[:10]}",
        **request,
        "Tags": plan.resource_tags,
    }
