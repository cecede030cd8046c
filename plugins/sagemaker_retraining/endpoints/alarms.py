"""The CloudWatch alarms that watch the roll-out of an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.rollout import watched_alarms

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import CompositeAlarmTypeDef, MetricAlarmTypeDef
    from mypy_boto3_sagemaker.type_defs import DeploymentConfigTypeDef

    from sagemaker_retraining.plan.document import DeployConfig


def prepare_alarms(hook: RetrainingHook, deploy: DeployConfig) -> None:
    """Put the described alarms, also those that are there: what is new, no clean-up deletes. `deploy` is the plan's.

    Raises AirflowFailException for a named alarm that does not exist, AirflowException (worth another try) when one is
    on already: SageMaker would go back as soon as it began.
    """
    names = watched_alarms(deploy.get("deployment"))
    if not names:
        return
    there, described = described_alarms(hook, names), deploy.get("alarms", [])
    ours = {request["AlarmName"] for request in described}
    if missing := [name for name in names if name not in there and name not in ours]:
        raise AirflowFailException(f"deploy.alarms: there is no {', '.join(missing)}; the endpoint stays as it is")
    if on := [name for name, alarm in there.items() if alarm["StateValue"] == "ALARM"]:
        raise AirflowException(
            f"{', '.join(on)}: in ALARM before the update, which SageMaker would roll back at once. See what the "
            f"endpoint serves now; the model's rollback DAG updates without alarms"
        )
    cloudwatch = hook.client("cloudwatch")
    for request in described:
        hook.log.info("Putting alarm %s", request["AlarmName"])
        cloudwatch.put_metric_alarm(**request)


def tripped_alarms(hook: RetrainingHook, deployment: DeploymentConfigTypeDef | None) -> str:
    """The alarms of a roll-out, and which of them are on."""
    names = watched_alarms(deployment)
    if not names:
        return ""
    try:
        on = [name for name, alarm in described_alarms(hook, names).items() if alarm["StateValue"] == "ALARM"]
    except ClientError as error:  # no permission to look: the reason matters more
        hook.log.warning("Cannot look at the alarms: %s", error)
        on = []
    return f" (alarms of the roll-out: {', '.join(names)}; in ALARM now: {', '.join(on) or 'none'})"


def described_alarms(hook: RetrainingHook, names: list[str]) -> dict[str, MetricAlarmTypeDef | CompositeAlarmTypeDef]:
    """The described alarms of these names, those there are."""
    found = hook.client("cloudwatch").describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return {alarm["AlarmName"]: alarm for alarm in (*found.get("MetricAlarms", []), *found.get("CompositeAlarms", []))}
