"""What tasks that change an endpoint share: whose it is, what it serves, what an end other than the wanted means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.outcomes import Outcome, is_beyond_quota, passing_outcome
from sagemaker_retraining.plan import ownership
from sagemaker_retraining.requests.hosting import CHALLENGER, VARIANT
from sagemaker_retraining.requests.rollout import watched_alarms
from sagemaker_retraining.s3_uri import split_s3_uri
from sagemaker_retraining.triggers.endpoint import MOVING

Description = Mapping[str, Any]
LOG_LINES = 30
LOG_GROUP = "/aws/sagemaker/Endpoints/"
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


def check_update(hook: RetrainingHook, description: Description, config: Description) -> None:
    """Raise AirflowFailException when UpdateEndpoint would refuse this config: said before anything is made."""
    if problem := update_problem(hook, description, config):
        raise AirflowFailException(f"{problem}. Nothing was made, and what serves now serves on")


def update_problem(hook: RetrainingHook, description: Description, config: Description) -> str | None:
    """Why an endpoint cannot be brought to a described config, and what to do; None when it can.

    UpdateEndpoint asks for the config that serves, and changes an endpoint's kind in one direction only.
    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-update.html, sagemaker-python-sdk PR 3124;
    terraform-provider-aws#40048
    """
    endpoint, serving = description["EndpointName"], description["EndpointConfigName"]
    elsewhere = "choose another deploy.endpoint, or delete this one first, after which nothing answers until the next"
    if description.get("AsyncInferenceConfig") and "AsyncInferenceConfig" not in config:
        return f"{endpoint} is asynchronous, which SageMaker takes from no endpoint: {elsewhere}"
    runs = description.get("ProductionVariants", [])
    if runs and _serverless(config.get("ProductionVariants", [])) and not _serverless(runs):
        return f"{endpoint} has instances, and SageMaker makes no such endpoint serverless: {elsewhere}"
    if hook.describe_or_none("describe_endpoint_config", EndpointConfigName=serving) is None:
        return (
            f"{endpoint} serves the config {serving}, which has been deleted: SageMaker updates no endpoint whose "
            f"config is gone. Make a config of that name again (`aws sagemaker create-endpoint-config "
            f"--endpoint-config-name {serving}`, with any model), or delete the endpoint, and clear this task"
        )
    return None


def _serverless(found: list[dict[str, Any]]) -> bool:
    return any("ServerlessConfig" in variant or "CurrentServerlessConfig" in variant for variant in found)


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

    Only missing capacity and the service's own fault are worth another try by themselves: a version that tripped an
    alarm would trip it again, on people's requests. SageMaker may give no reason at all (terraform-provider-aws#48997).
    """
    endpoint, status = description["EndpointName"], description["EndpointStatus"]
    given = str(description.get("FailureReason") or "")
    reason = (
        given
        or f"SageMaker gives no reason, which happens when there is no capacity too; see its events, and the log group "
        f"{LOG_GROUP}{endpoint}"
    )
    if status == "Failed":
        return AirflowFailException(
            f"{endpoint} is Failed: {reason}. It never served. Delete it (`aws sagemaker delete-endpoint "
            f"--endpoint-name {endpoint}`), correct the cause, and clear this task{log_tail(hook, endpoint)}"
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
    if passing_outcome(given) not in {None, Outcome.QUOTA}:
        return AirflowException(text)
    health = log_tail(hook, endpoint) if "health check" in reason else ""
    return AirflowFailException(f"{text}. What served before serves on; correct the cause and clear this task{health}")


def log_tail(hook: RetrainingHook, endpoint: str) -> str:
    """What the endpoint's containers printed last: `; the container's log ends: …`, empty without any."""
    logs: Any = hook.logs_hook.conn
    group = f"{LOG_GROUP}{endpoint}"
    try:
        streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
        names = [stream["logStreamName"] for stream in streams["logStreams"]]
        pages = [logs.get_log_events(logGroupName=group, logStreamName=name, limit=LOG_LINES) for name in names]
    except ClientError as error:  # no container has run, or no permission to look
        hook.log.warning("Cannot read %s: %s", group, error)
        return ""
    lines = [event["message"].rstrip() for page in pages for event in page["events"]]
    return "; the container's log ends:\n" + "\n".join(lines) if lines else ""


@contextmanager
def said_of_quota() -> Iterator[None]:
    """A limit of the account on instances as a sentence: one too small never passes, one that is used up may."""
    try:
        yield
    except ClientError as error:
        answer = error.response["Error"]
        if answer["Code"] != "ResourceLimitExceeded":
            raise
        text = f"{answer['Message']} What served before serves on; an update needs both fleets at once"
        if is_beyond_quota(answer["Message"]):
            raise AirflowFailException(
                f"{text}. Have the limit raised in Service Quotas, and clear this task"
            ) from error
        raise AirflowException(text) from error


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
