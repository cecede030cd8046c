"""PutMetricAlarm: what rolls an update of the endpoint back.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagemaker_retraining.config.serving import Alarm
from sagemaker_retraining.plan import RunPlan, fingerprint
from sagemaker_retraining.plan.document import DeployConfig

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, PutMetricAlarmInputTypeDef
    from mypy_boto3_sagemaker.type_defs import DeploymentConfigTypeDef


# The model's own answers; SageMaker sends 1 for an error and 0 for none, so the average is the share.
_METRICS = {
    "error_rate": "Invocation5XXErrors",
    "client_error_rate": "Invocation4XXErrors",
    "latency_p99_ms": "ModelLatency",
}
METRIC_NAMES = tuple(_METRICS)


def alarm_requests(plan: RunPlan, variant: str) -> list[PutMetricAlarmInputTypeDef]:
    """The alarms to create: those that model.yaml describes.

    Named after their content, so that an alarm is never changed under its name while another update relies on it.
    """
    return [_request(plan, variant, alarm) for alarm in plan.model.deploy.alarms if alarm.name is None]


def on_new_fleet(deploy: DeployConfig, config: str) -> DeployConfig:
    """The plan's `deploy` with alarms that see only what runs this endpoint config: the new fleet of a roll-out.

    By endpoint and variant alone an alarm sees old and new fleet together, and errors of the old one would send the new
    one back. The config's name follows from the approved version, so it comes to the dimensions here, and the alarms
    get names of their own. https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    """
    if not deploy.get("alarms"):
        return deploy
    alarms = {alarm["AlarmName"]: _of_config(alarm, config) for alarm in deploy["alarms"]}
    watched = deploy["deployment"]["AutoRollbackConfiguration"]["Alarms"]
    names = [alarms[name]["AlarmName"] if name in alarms else name for name in (item["AlarmName"] for item in watched)]
    deployment: DeploymentConfigTypeDef = {
        **deploy["deployment"],
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in names]},
    }
    return {**deploy, "alarms": list(alarms.values()), "deployment": deployment}


def _of_config(alarm: PutMetricAlarmInputTypeDef, config: str) -> PutMetricAlarmInputTypeDef:
    dimensions: list[DimensionTypeDef] = [*alarm["Dimensions"], {"Name": "EndpointConfigName", "Value": config}]
    return _named_after_content({**alarm, "Dimensions": dimensions}, alarm["AlarmName"].rpartition("-")[0])


def _named_after_content(alarm: PutMetricAlarmInputTypeDef, prefix: str) -> PutMetricAlarmInputTypeDef:
    content = {key: value for key, value in alarm.items() if key not in {"AlarmName", "Tags"}}
    return {**alarm, "AlarmName": f"{prefix}-{fingerprint(content)[:10]}"}


def alarm_names(plan: RunPlan, variant: str) -> list[str]:
    """All alarms of the roll-out, in the order of model.yaml."""
    return [alarm.name or _request(plan, variant, alarm)["AlarmName"] for alarm in plan.model.deploy.alarms]


def _request(plan: RunPlan, variant: str, alarm: Alarm) -> PutMetricAlarmInputTypeDef:
    metric, above = str(alarm.metric), float(alarm.above or 0)
    request: PutMetricAlarmInputTypeDef = {
        "AlarmName": f"{plan.endpoint}-{metric.replace('_', '-')}",
        "AlarmDescription": f"{metric} of {plan.endpoint} above {above:g}: a roll-out goes back",
        "Namespace": "AWS/SageMaker",
        "MetricName": _METRICS[metric],
        "Dimensions": [
            {"Name": "EndpointName", "Value": plan.endpoint},
            {"Name": "VariantName", "Value": variant},
        ],
        "Period": alarm.period_seconds,
        "EvaluationPeriods": alarm.periods,
        "Threshold": above,
        "ComparisonOperator": "GreaterThanThreshold",
        # No requests, no errors: a night without traffic must not roll anything back.
        "TreatMissingData": "notBreaching",
        "Tags": plan.resource_tags,
    }
    if metric == "latency_p99_ms":
        request["ExtendedStatistic"] = "p99"
        request["Threshold"] = above * 1000  # ModelLatency is in microseconds
    else:
        request["Statistic"] = "Average"
    return _named_after_content(request, request["AlarmName"])
