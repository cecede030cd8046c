"""What tasks that change an endpoint share: whose it is, what it serves, what an end other than the wanted means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.plan import ownership
from sagemaker_retraining.requests.hosting import CHALLENGER, VARIANT
from sagemaker_retraining.requests.rollout import watched_alarms
from sagemaker_retraining.s3_uri import split_s3_uri
from sagemaker_retraining.triggers.endpoint import MOVING

Description = Mapping[str, Any]
SCALING = frozenset({"Updating", "SystemUpdating"})
"""Without a PendingDeploymentSummary, which only a new config has: autoscaling's and AWS's own changes, which end.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"""


def check_owner(hook: RetrainingHook, description: Description, tags: list[dict[str, str]]) -> None:
    """Raise AirflowFailException when the endpoint's tags are not those of this model and environment."""
    ours = ownership({tag["Key"]: tag["Value"] for tag in tags})
    theirs = hook.tags(description["EndpointArn"])
    if differing := [key for key, value in ours.items() if theirs.get(key) != value]:
        found = ", ".join(f"{key}={theirs.get(key, 'none')}" for key in differing)
        wanted = ", ".join(f"{key}={ours[key]}" for key in differing)
        raise AirflowFailException(
            f"endpoint {description['EndpointName']} belongs to another: its tags say {found}, this run's {wanted}. "
            f"It stays as it is. Choose another deploy.endpoint, or tag the endpoint if it is this model's"
        )


def check_capture_bucket(hook: RetrainingHook, config: Description) -> None:
    """Raise AirflowFailException when data capture would write into a bucket that does not exist."""
    uri = config.get("DataCaptureConfig", {}).get("DestinationS3Uri")
    if uri is None:
        return
    bucket, _ = split_s3_uri(uri)
    try:
        hook.s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        # 403: Airflow may not list it; the endpoint's own role may still write there.
        if error.response["Error"]["Code"] in {"404", "NoSuchBucket"}:
            raise AirflowFailException(
                f"data capture: there is no bucket {bucket} for {uri}. Create it, or correct `bucket` in the "
                f"environment's file; the endpoint stays as it is"
            ) from error
        if error.response["Error"]["Code"] not in {"403", "AccessDenied"}:
            raise


def check_capture(description: Description, config: Description) -> None:
    """Raise AirflowFailException when the endpoint does not capture what its config says."""
    wanted = config.get("DataCaptureConfig")
    if wanted is None:
        return
    found = description.get("DataCaptureConfig") or {}
    pairs = {
        "EnableCapture": wanted["EnableCapture"],
        "CurrentSamplingPercentage": wanted["InitialSamplingPercentage"],
        "DestinationS3Uri": wanted["DestinationS3Uri"],
    }
    if lost := [f"{key} is {found.get(key)}, not {value}" for key, value in pairs.items() if found.get(key) != value]:
        raise AirflowFailException(
            f"{description['EndpointName']} serves, but its data capture is not as wanted: {'; '.join(lost)}"
        )


def pending_config(description: Description) -> str | None:
    """The config an endpoint is on its way to; its own while it only scales or is patched, None when it rests."""
    name: str | None = description.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
    if name is None and description["EndpointStatus"] in {"Creating", *SCALING}:
        return str(description["EndpointConfigName"])
    return name


def serves(description: Description, config: str) -> bool:
    """Whether this config answers and nothing is under way to replace it: the endpoint rests, or only scales."""
    resting = description["EndpointStatus"] in {"InService", *SCALING}
    return resting and description["EndpointConfigName"] == config and not is_changing(description)


def is_changing(description: Description) -> bool:
    """Whether what the endpoint serves is under way to another config, or to none; not while it only scales."""
    scales = description["EndpointStatus"] in SCALING and not description.get("PendingDeploymentSummary")
    return description["EndpointStatus"] in MOVING and not scales


def variants(hook: RetrainingHook, config_name: str) -> dict[str, dict[str, Any]]:
    """The production variants of an endpoint config by name; none when it has been deleted."""
    config = hook.describe_or_none("describe_endpoint_config", EndpointConfigName=config_name)
    return {variant["VariantName"]: variant for variant in (config or {}).get("ProductionVariants", [])}


def served_model(hook: RetrainingHook, config_name: str) -> str | None:
    """The model behind the main variant of a config, as opposed to a challenger."""
    found = variants(hook, config_name)
    main = found.get(VARIANT) or next(iter(found.values()), {})
    name: str | None = main.get("ModelName")
    return name


def challenger_model(hook: RetrainingHook, config_name: str) -> str | None:
    """The model of a config that stands beside the main variant's, in its shadow or with traffic of its own."""
    return all_models(hook, config_name).get(CHALLENGER)


def all_models(hook: RetrainingHook, config_name: str) -> dict[str, str]:
    """`{variant: model}` of a config, shadows too; none when it has been deleted."""
    config = hook.describe_or_none("describe_endpoint_config", EndpointConfigName=config_name) or {}
    found = (*config.get("ProductionVariants", []), *config.get("ShadowProductionVariants", []))
    return {variant["VariantName"]: variant["ModelName"] for variant in found}


def version_of(hook: RetrainingHook, model: str | None) -> str | None:
    """ARN of the version that a model was made from; None for one that is gone, or of no version."""
    found = hook.describe_or_none("describe_model", ModelName=model) if model else None
    arn: str | None = (found or {}).get("PrimaryContainer", {}).get("ModelPackageName")
    return arn


def not_wanted(hook: RetrainingHook, description: Description, wanted: str, deployment: Description) -> Exception:
    """The error of an endpoint that came to rest elsewhere, with SageMaker's reason and what to do next.

    Only missing capacity is worth another try by itself: a version that tripped an alarm would trip it again, on
    people's requests.
    """
    endpoint, status = description["EndpointName"], description["EndpointStatus"]
    reason = str(description.get("FailureReason") or "SageMaker gives no reason")
    if status == "Failed":
        return AirflowFailException(
            f"{endpoint} is Failed: {reason}. It never served. Delete it (`aws sagemaker delete-endpoint "
            f"--endpoint-name {endpoint}`), correct the cause, and clear this task"
        )
    if status == "UpdateRollbackFailed":
        return AirflowFailException(
            f"{endpoint} is UpdateRollbackFailed: {reason}. The update failed and so did the way back; instances of "
            f"both configurations may serve. Clear this task to update again, or run the model's rollback DAG"
        )
    text = (
        f"{endpoint} is {status} on {description['EndpointConfigName']}, wanted {wanted}: {reason}"
        f"{tripped(hook, deployment)}"
    )
    if "capacity" in reason.lower() or "limitexceeded" in reason.lower():
        return AirflowException(text)
    return AirflowFailException(f"{text}. What served before serves on; correct the cause and clear this task")


def tripped(hook: RetrainingHook, deployment: Description) -> str:
    """The alarms of a roll-out, and which of them are on."""
    names = watched_alarms(deployment)
    if not names:
        return ""
    try:
        on = [name for name, alarm in alarms(hook, names).items() if alarm["StateValue"] == "ALARM"]
    except ClientError as error:  # no permission to look: the reason matters more
        hook.log.warning("Cannot look at the alarms: %s", error)
        on = []
    return f" (alarms of the roll-out: {', '.join(names)}; in ALARM now: {', '.join(on) or 'none'})"


def alarms(hook: RetrainingHook, names: list[str]) -> dict[str, dict[str, Any]]:
    """The described alarms of these names, those there are."""
    found = hook.client("cloudwatch").describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return {alarm["AlarmName"]: alarm for alarm in (*found.get("MetricAlarms", []), *found.get("CompositeAlarms", []))}
