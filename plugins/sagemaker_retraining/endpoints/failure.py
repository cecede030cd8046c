"""What it means when an endpoint comes to rest elsewhere than wanted, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.endpoints.alarms import tripped_alarms
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.outcomes import Outcome, is_beyond_quota, passing_outcome

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DeploymentConfigTypeDef

    from sagemaker_retraining.described import DescribedEndpoint

LOG_LINES = 30
LOG_GROUP = "/aws/sagemaker/Endpoints/"


def not_wanted(
    hook: RetrainingHook, description: DescribedEndpoint, wanted: str, deployment: DeploymentConfigTypeDef | None
) -> Exception:
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
        f"{tripped_alarms(hook, deployment)}"
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
def quota_explained() -> Iterator[None]:
    """Raise a limit of the account on instances as a sentence; it fails at once when the limit is too small."""
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
