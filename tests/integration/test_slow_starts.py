"""Containers that are slow to answer, or fail at their start: on a server on which both ends after seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError

from sagemaker_retraining.endpoints import invocation
from sagemaker_retraining.endpoints.failure import not_wanted, quota_explained
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.operators import deploy
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit, wait_for
from tests.kits.serving_kit import Serving, resumed, short_name

pytestmark = pytest.mark.slow
INVOCATION_SECONDS, FAILURE_SECONDS = 2, 6


@pytest.fixture
def serving(
    make_sagemaker_local: Callable[..., LocalSageMaker],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Serving:
    server = make_sagemaker_local()
    limits = ("--invocation-seconds", str(INVOCATION_SECONDS), "--start-failure-seconds", str(FAILURE_SECONDS))
    server.options = (*server.options, *limits)
    server.start()
    extra = {"region_name": "us-east-1", "endpoint_url": server.url}
    connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return Serving(server, tmp_path, short_name(request.node.name))


@pytest.mark.aws_fact("invocation-serverless-cold-start")
@pytest.mark.aws_fact("invocation-from-model-or-primary")
def test_a_serverless_cold_start_that_takes_too_long_is_asked_again(serving: Serving) -> None:
    plan = serving.plan("serverless: {}")
    deployed = serving.deploy(serving.version(1, load_seconds=4), plan)
    with pytest.raises(ClientError) as refused:
        serving.answer()
    said = refused.value.response["Error"]
    assert said["Code"] == "ModelError"
    assert said["Message"].startswith(
        'Received server error (0) from model with message "Amazon SageMaker could not get a response from the '
        f'{serving.name} endpoint.". See'
    )
    wait_for(lambda: answers(serving), "the container, which goes on starting")
    again = serving.deploy(serving.version(2, load_seconds=4), plan)
    assert again["previous_endpoint_config"] == deployed["endpoint_config"]
    assert serving.verify(2, again, plan)["max_difference"] == 0


def answers(serving: Serving) -> bool:
    """Whether the endpoint does."""
    try:
        serving.answer()
    except ClientError:
        return False
    return True


def test_a_server_that_loads_with_its_first_request_is_asked_again(serving: Serving) -> None:
    deployed = serving.deploy(serving.version(1, first_seconds=4))
    assert serving.verify(1, deployed)["max_difference"] == 0


def test_a_model_that_never_answers_is_not_asked_for_ever(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation, "PATIENCE_SECONDS", 1)
    deployed = serving.deploy(serving.version(1, seconds=20))
    with pytest.raises(AirflowFailException, match=r"the model fails: .*Your invocation timed out"):
        serving.verify(1, deployed)


@pytest.mark.aws_fact("endpoint-crash-keeps-creating")
def test_a_container_that_fails_blocks_the_name_until_sagemaker_gives_up(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "LOOK_SECONDS", 2)
    operator = serving.deploy_operator(serving.version(1, broken=True), serving.plan())
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(serving.context())
    with pytest.raises(AirflowFailException, match="its name is blocked") as failed:
        resumed(operator, deferral.value, serving.context())
    assert "RuntimeError: this model does not load" in str(failed.value), "the end of the container's log"
    assert serving.endpoint()["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        serving.sagemaker.delete_endpoint(EndpointName=serving.name)
    assert Kit(serving.server).settled(serving.name)["EndpointStatus"] == "Failed"
    with pytest.raises(AirflowFailException, match=r"is Failed.*delete-endpoint.*(?s:log ends:.*does not load)"):
        serving.deploy(f"{deferral_arn(serving)}")


def deferral_arn(serving: Serving) -> str:
    """ARN of the test's first version."""
    found = serving.sagemaker.list_model_packages(ModelPackageGroupName=serving.name)["ModelPackageSummaryList"]
    arn: str = found[0]["ModelPackageArn"]
    return arn


def test_a_container_that_ends_is_started_again(serving: Serving) -> None:
    kit = Kit(serving.server)
    kit.config("crashes", crashes="loading")
    kit.sagemaker.create_endpoint(EndpointName="crashes", EndpointConfigName="crashes")
    assert kit.settled("crashes")["EndpointStatus"] == "Failed"
    logs: Any = serving.server.client("logs")
    events = logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/crashes")["events"]
    assert sum("factor 2" in event["message"] for event in events) >= 2


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("Request to service failed. If failure persists after retry, contact customer support.", AirflowException),
        ("", AirflowFailException),
    ],
)
@pytest.mark.aws_fact("endpoint-request-to-service-failed")
@pytest.mark.aws_fact("endpoint-rollback-without-reason")
def test_the_services_own_fault_is_tried_again(serving: Serving, reason: str, error: type[Exception]) -> None:
    """An endpoint that was rolled back for it; without a reason nobody knows, so the message says where to look."""
    description = {
        "EndpointName": "demo",
        "EndpointStatus": "InService",
        "EndpointConfigName": "demo-1",
        "FailureReason": reason,
    }
    found = not_wanted(RetrainingHook(), description, "demo-2", {})
    assert type(found) is error
    assert reason or "/aws/sagemaker/Endpoints/demo" in str(found)


@pytest.mark.parametrize(("limit", "error"), [(0, AirflowFailException), (2, AirflowException)])
@pytest.mark.aws_fact("endpoint-quota-refused")
def test_a_quota_of_nothing_never_passes(limit: int, error: type[Exception]) -> None:
    message = (
        f"The account-level service limit 'ml.m5.large for endpoint usage' is {limit} Instances, with current "
        f"utilization of {limit} Instances and a request delta of 1 Instances."
    )
    with pytest.raises(error, match="both fleets at once") as said, quota_explained():
        raise ClientError({"Error": {"Code": "ResourceLimitExceeded", "Message": message}}, "CreateEndpoint")
    assert type(said.value) is error
