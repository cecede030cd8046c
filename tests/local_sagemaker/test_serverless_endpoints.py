"""Serverless endpoints: a container only while there is something to do, and never more requests than allowed."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits.endpoint_kit import Kit, serving, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def kit(make_sagemaker_local: Any) -> Kit:
    """On a server of its own, whose serverless containers end when they have been idle for a second."""
    server = make_sagemaker_local()
    server.options = (*server.options, "--serverless-idle-seconds", "1")
    return Kit(server.start())


def variant(name: str, **config: int) -> dict[str, Any]:
    """A production variant of the model `name`."""
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5, **config}
    return {"VariantName": "AllTraffic", "ModelName": name, "ServerlessConfig": serverless}


def create(kit: Kit, name: str, model: dict[str, Any], **config: int) -> dict[str, Any]:
    """A serverless endpoint, and its description once it has settled."""
    kit.config(f"{name}-model", **model)
    kit.sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant(f"{name}-model", **config)]
    )
    return kit.create(name, name)


def test_a_container_runs_only_while_it_is_needed(kit: Kit) -> None:
    found = create(kit, "sl-cold", {"factor": 3})
    assert found["EndpointStatus"] == "InService"
    [summary] = found["ProductionVariants"]
    assert summary["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert summary["CurrentInstanceCount"] == 0
    assert serving(kit.server.state) == []
    for _ in range(2):
        assert kit.invoke("sl-cold") == "3.0,6.0"
        assert serving(kit.server.state) != []
        wait_for(lambda: serving(kit.server.state) == [], "the idle container to end")
    with pytest.raises(ClientError, match="HTTP content length exceeded 4194304 bytes"):
        kit.invoke("sl-cold", "1," * 3_000_000)
    kit.server.restart()
    assert kit.settled("sl-cold")["EndpointStatus"] == "InService"
    assert kit.invoke("sl-cold") == "3.0,6.0"
    kit.delete("sl-cold")
    assert serving(kit.server.state) == []


@pytest.mark.aws_fact("invocation-serverless-throttled")
def test_requests_beyond_the_concurrency_are_throttled(kit: Kit) -> None:
    create(kit, "sl-most", {"seconds": 4}, MaxConcurrency=2)

    def ask(_: int) -> str:
        try:
            return kit.invoke("sl-most", "1")
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(ask, range(5)))
    assert sorted(answers) == ["2.0", "2.0", "ThrottlingException", "ThrottlingException", "ThrottlingException"]
    assert kit.invoke("sl-most", "1") == "2.0"


def test_provisioned_concurrency_stays_warm(kit: Kit) -> None:
    create(kit, "sl-other", {})
    create(kit, "sl-warm", {}, ProvisionedConcurrency=1)
    warm = serving(kit.server.state)
    assert warm != []
    assert kit.invoke("sl-warm") == "2.0,4.0"
    assert kit.invoke("sl-other") == "2.0,4.0"
    assert len(serving(kit.server.state)) > len(warm)
    wait_for(lambda: serving(kit.server.state) == warm, "only the container of the other endpoint to end")


def test_a_serverless_endpoint_gets_instances_and_keeps_them(kit: Kit) -> None:
    create(kit, "sl-change", {"factor": 3})
    kit.config("sl-real", factor=2)
    assert kit.invoke("sl-change", "1") == "3.0"
    assert kit.update("sl-change", "sl-real")["EndpointConfigName"] == "sl-real"
    assert kit.invoke("sl-change", "1") == "2.0"
    with pytest.raises(ClientError, match="with instances to a serverless configuration"):
        kit.update("sl-change", "sl-change")


@pytest.mark.aws_fact("endpoint-serverless-cannot-start")
@pytest.mark.aws_fact("log-streams")
def test_a_model_that_does_not_load_fails_the_endpoint(kit: Kit) -> None:
    found = create(kit, "sl-broken", {"broken": True})
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"].startswith(
        'Received server error (0) from model with message "An error occurred while handling request as the model '
        'process exited.". See https://'
    )
    [stream] = kit.server.client("logs").describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/sl-broken")[
        "logStreams"
    ]
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]{32}", stream["logStreamName"])


def test_configs_that_are_refused(kit: Kit) -> None:
    kit.config("sl-m")
    second = {**variant("sl-m"), "VariantName": "Second"}
    for variants, text in (
        ([variant("sl-m", MemorySizeInMB=1500)], "it must be a multiple of 1024"),
        ([variant("sl-m", MemorySizeInMB=7168)], "Member must have value less than or equal to 6144"),
        ([variant("sl-m", ProvisionedConcurrency=6)], "exceeds its MaxConcurrency"),
        ([variant("sl-m"), second], "Serverless endpoints have one production variant"),
    ):
        with pytest.raises(ClientError, match=text) as caught:
            kit.sagemaker.create_endpoint_config(EndpointConfigName="sl-refused", ProductionVariants=variants)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
