"""Endpoints: they serve, change without a failed request, fail like on AWS, and come back after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.sagemaker_local.containers.launcher import REWRITE
from tests.kits.busy_client import BusyClient
from tests.kits.endpoint_kit import HEALTH_CHECK, IMAGE, Kit, serving, wait_for
from tests.kits.refusals import error_response


def test_an_endpoint_serves_its_model(kit: Kit) -> None:
    found = kit.create("ep-serves", kit.config("ep-serves", factor=3))
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointConfigName"] == "ep-serves"
    variant = found["ProductionVariants"][0]
    assert variant["VariantName"] == "AllTraffic"
    assert variant["CurrentWeight"] == variant["DesiredWeight"] == 1
    assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"] == 1
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert "FailureReason" not in found
    answer = kit.runtime.invoke_endpoint(
        EndpointName="ep-serves", Body="1,2", ContentType="text/csv", Accept="text/csv"
    )
    assert answer["Body"].read() == b"3.0,6.0"
    assert answer["ContentType"] == "text/csv; charset=utf-8"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    body = kit.invoke("ep-serves", json.dumps({"x": [2]}), ContentType="application/json", Accept="application/json")
    assert json.loads(body) == {"y": [6]}


def test_what_the_container_prints_is_in_cloudwatch(kit: Kit) -> None:
    kit.create("ep-logs", kit.config("ep-logs", factor=7))
    logs, group = kit.server.client("logs"), "/aws/sagemaker/Endpoints/ep-logs"

    def lines() -> dict[str, str]:
        return {
            event["message"]: event["logStreamName"] for event in logs.filter_log_events(logGroupName=group)["events"]
        }

    wait_for(lambda: any("factor 7" in line for line in lines()), "the line that model_fn prints")
    [(line, stream)] = [item for item in lines().items() if "factor 7" in item[0]]
    assert stream.startswith("AllTraffic/i-")
    if kit.server.health()["isolation"] != REWRITE:
        assert line == "model_fn /opt/ml/model factor 7"


def test_a_model_package_is_deployed_with_its_own_container(kit: Kit) -> None:
    kit.config("ep-package-source", factor=5)
    container = kit.sagemaker.describe_model(ModelName="ep-package-source")["PrimaryContainer"]
    kit.sagemaker.create_model_package_group(ModelPackageGroupName="ep-package")
    arn = kit.sagemaker.create_model_package(
        ModelPackageGroupName="ep-package",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{name: container[name] for name in ("Image", "ModelDataUrl", "Environment")}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    kit.sagemaker.create_model(
        ModelName="ep-package", ExecutionRoleArn=kit.server.role_arn, PrimaryContainer={"ModelPackageName": arn}
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "ep-package",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    kit.sagemaker.create_endpoint_config(EndpointConfigName="ep-package", ProductionVariants=[variant])
    assert kit.create("ep-package", "ep-package")["EndpointStatus"] == "InService"
    assert kit.invoke("ep-package") == "5.0,10.0"


def test_requests_are_shared_by_weight_or_go_to_the_variant_asked_for(kit: Kit) -> None:
    kit.create("ep-variants", kit.config("ep-variants", variants={"Old": 1, "New": 0}))

    def variants_hit() -> set[str]:
        answers = [
            kit.runtime.invoke_endpoint(EndpointName="ep-variants", Body="1", ContentType="text/csv") for _ in range(20)
        ]
        return {answer["InvokedProductionVariant"] for answer in answers}

    assert variants_hit() == {"Old"}
    answer = kit.runtime.invoke_endpoint(
        EndpointName="ep-variants", Body="1", ContentType="text/csv", TargetVariant="New"
    )
    assert answer["InvokedProductionVariant"] == "New"
    weights = [{"VariantName": "Old", "DesiredWeight": 0}, {"VariantName": "New", "DesiredWeight": 2}]
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ep-variants", DesiredWeightsAndCapacities=weights
    )
    found = kit.settled("ep-variants")
    assert {v["VariantName"]: v["CurrentWeight"] for v in found["ProductionVariants"]} == {"Old": 0, "New": 2}
    assert variants_hit() == {"New"}
    error = error_response(kit.invoke, "ep-variants", TargetVariant="Nobody")
    assert error["Error"]["Code"] == "ValidationError"


def test_what_the_model_raises_is_a_model_error(kit: Kit) -> None:
    kit.create("ep-model-error", kit.config("ep-model-error"))
    error = error_response(kit.invoke, "ep-model-error", "-1")
    assert error["Error"]["Code"] == "ModelError"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert error["OriginalStatusCode"] == 500
    assert error["OriginalMessage"].startswith("<!doctype html>"), "as Flask says it: a page without the reason"
    assert "negative input" not in error["OriginalMessage"]
    message = error["Error"]["Message"]
    assert message.startswith('Received server error (500) from primary with message "<!doctype html>')
    assert error["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/ep-model-error")
    assert kit.invoke("ep-model-error") == "2.0,4.0"


def test_a_container_that_dies_is_started_again(kit: Kit) -> None:
    kit.create("ep-dies", kit.config("ep-dies"))
    assert error_response(kit.invoke, "ep-dies", "-2")["Error"]["Code"] == "ServiceUnavailable"

    def served() -> str | None:
        try:
            return kit.invoke("ep-dies")
        except ClientError:
            return None

    assert wait_for(served, "the container to be back") == "2.0,4.0"


@pytest.mark.aws_fact("invocation-unknown-endpoint")
def test_requests_that_reach_no_model(kit: Kit) -> None:
    error = error_response(kit.invoke, "ep-nobody")
    assert error["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint ep-nobody of account 123456789012 not found.",
    }
    error = error_response(kit.invoke, "ep-nobody", b"0" * 6_291_457)
    assert error["Error"]["Message"] == "HTTP content length exceeded 6291456 bytes."


@pytest.mark.aws_fact("hosting-name-taken")
@pytest.mark.aws_fact("hosting-missing")
def test_operations_on_what_does_not_exist_or_exists_already(kit: Kit) -> None:
    prefix = "arn:aws:sagemaker:us-east-1:123456789012"
    kit.config("ep-exists")
    kit.create("ep-exists", "ep-exists")
    for call, options, message in (
        (kit.sagemaker.create_endpoint, {"EndpointConfigName": "ep-exists"}, "Cannot create already existing endpoint"),
        (
            kit.sagemaker.update_endpoint,
            {"EndpointConfigName": "ep-none"},
            f'Could not find endpoint configuration "{prefix}:endpoint-config/ep-none".',
        ),
    ):
        error = error_response(call, EndpointName="ep-exists", **options)["Error"]
        assert error["Code"] == "ValidationException"
        assert error["Message"].startswith(message)
    for call, options in (
        (kit.sagemaker.describe_endpoint, {}),
        (kit.sagemaker.delete_endpoint, {}),
        (kit.sagemaker.update_endpoint, {"EndpointConfigName": "ep-exists"}),
    ):
        error = error_response(call, EndpointName="ep-none", **options)["Error"]
        assert error == {
            "Code": "ValidationException",
            "Message": f'Could not find endpoint "{prefix}:endpoint/ep-none".',
        }


@pytest.mark.parametrize("fault", ["broken", "no archive", "not an archive"])
@pytest.mark.aws_fact("endpoint-ping-text")
@pytest.mark.aws_fact("endpoint-archive-text")
def test_a_model_that_cannot_be_served_fails_the_endpoint(kit: Kit, fault: str) -> None:
    name = f"ep-fails-{fault.replace(' ', '-')}"
    config = kit.config(name, broken=fault == "broken")
    key = f"endpoint-tests/{name}/model.tar.gz"
    if fault == "no archive":
        kit.s3.delete_object(Bucket=kit.server.bucket, Key=key)
    if fault == "not an archive":
        kit.s3.put_object(Bucket=kit.server.bucket, Key=key, Body=b"no gzip")
    found = kit.create(name, config)
    reason = {"broken": HEALTH_CHECK, "no archive": "Failed to download", "not an archive": "Failed to extract"}[fault]
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"].startswith(reason)
    assert not list((Path(kit.server.state) / "endpoints" / name).glob("*"))
    assert error_response(kit.invoke, name)["Error"]["Code"] == "ValidationError"
    error = error_response(kit.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=config)
    assert error["Error"]["Code"] == "ValidationException"
    kit.delete(name)
    kit.config(f"{name}-repaired", factor=4)
    assert kit.create(name, f"{name}-repaired")["EndpointStatus"] == "InService"
    assert kit.invoke(name) == "4.0,8.0"


def test_no_request_fails_while_an_endpoint_is_updated(kit: Kit) -> None:
    configs = [kit.config(f"ep-updated-{factor}", factor=factor, seconds=0.005) for factor in (2, 3, 4)]
    kit.create("ep-updated", configs[0])
    clients = [BusyClient(kit, "ep-updated") for _ in range(3)]
    for config in configs[1:]:
        found = kit.update("ep-updated", config)
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)
    wait_for(lambda: all(client.answers[-1:] == ["4.0"] for client in clients), "the last model to answer all")
    for client in clients:
        client.stop()
        assert client.errors == []
        assert client.answers == sorted(client.answers), "an old model answered after a new one had"
        assert set(client.answers) == {"2.0", "3.0", "4.0"}
    folder = Path(kit.server.state) / "endpoints" / "ep-updated"
    wait_for(lambda: len(list(folder.glob("*"))) == 1, "the models of replaced deployments to be gone")


@pytest.mark.aws_fact("endpoint-failed-update")
def test_an_update_that_does_not_come_up_is_rolled_back(kit: Kit) -> None:
    kit.create("ep-rollback", kit.config("ep-rollback-good"))
    client = BusyClient(kit, "ep-rollback")
    found = kit.update("ep-rollback", kit.config("ep-rollback-bad", broken=True))
    client.stop()
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointConfigName"] == "ep-rollback-good"
    assert found["FailureReason"] == HEALTH_CHECK
    assert client.errors == []
    assert set(client.answers) == {"2.0"}
    found = kit.update("ep-rollback", kit.config("ep-rollback-next", factor=8))
    assert (found["EndpointConfigName"], "FailureReason" in found) == ("ep-rollback-next", False)
    assert kit.invoke("ep-rollback", "1") == "8.0"


@pytest.mark.aws_fact("endpoint-in-progress")
def test_an_endpoint_in_progress_takes_no_other_change(kit: Kit) -> None:
    kit.config("ep-busy")
    kit.config("ep-busy-next")
    kit.create("ep-busy", "ep-busy")
    kit.sagemaker.update_endpoint(EndpointName="ep-busy", EndpointConfigName="ep-busy-next")
    found = kit.sagemaker.describe_endpoint(EndpointName="ep-busy")
    assert found["EndpointStatus"] == "Updating"
    assert found["PendingDeploymentSummary"]["EndpointConfigName"] == "ep-busy-next"
    for call, options in (
        (kit.sagemaker.update_endpoint, {"EndpointConfigName": "ep-busy"}),
        (kit.sagemaker.delete_endpoint, {}),
    ):
        error = error_response(call, EndpointName="ep-busy", **options)["Error"]
        arn = found["EndpointArn"]
        assert error == {"Code": "ValidationException", "Message": f'Cannot update in-progress endpoint "{arn}".'}
    assert kit.settled("ep-busy")["EndpointConfigName"] == "ep-busy-next"


@pytest.mark.aws_fact("endpoint-retain-properties")
@pytest.mark.aws_fact("endpoint-retain-deployment-config")
def test_retained_properties_and_deployment_config(kit: Kit) -> None:
    kit.create("ep-retain", kit.config("ep-retain", kit.capture("retain-a", 30)))
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ep-retain",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 5, "DesiredInstanceCount": 3}],
    )
    deployment = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": 0,
        }
    }
    kit.config("ep-retain-next", kit.capture("retain-b", 60))
    found = kit.update("ep-retain", "ep-retain-next", RetainAllVariantProperties=True, DeploymentConfig=deployment)
    variant = found["ProductionVariants"][0]
    assert (variant["CurrentWeight"], variant["DesiredInstanceCount"]) == (5, 3)
    assert found["DataCaptureConfig"]["CurrentSamplingPercentage"] == 30
    assert found["LastDeploymentConfig"] == deployment
    excluded = [{"VariantPropertyType": "DataCaptureConfig"}, {"VariantPropertyType": "DesiredWeight"}]
    found = kit.update(
        "ep-retain",
        "ep-retain-next",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=excluded,
        RetainDeploymentConfig=True,
    )
    variant = found["ProductionVariants"][0]
    assert (variant["CurrentWeight"], variant["DesiredInstanceCount"]) == (1, 3)
    assert found["DataCaptureConfig"]["CurrentSamplingPercentage"] == 60
    assert found["LastDeploymentConfig"] == deployment


@pytest.mark.aws_fact("event-repeats")
def test_status_changes_are_events(kit: Kit) -> None:
    sqs, events = kit.server.client("sqs"), kit.server.client("events")
    queue = sqs.create_queue(QueueName="ep-events")["QueueUrl"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Endpoint State Change"],
        "detail": {"EndpointName": ["ep-events"]},
    }
    events.put_rule(Name="ep-events", EventPattern=json.dumps(pattern))
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule="ep-events", Targets=[{"Id": "1", "Arn": arn}])
    kit.create("ep-events", kit.config("ep-events"))
    kit.update("ep-events", kit.config("ep-events-next"))
    kit.delete("ep-events")
    seen: list[str] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            detail = json.loads(message["Body"])["detail"]
            seen.append(detail["EndpointStatus"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert sorted(seen) == ["CREATING", "DELETING", "IN_SERVICE", "IN_SERVICE", "UPDATING"]


def test_endpoints_work_side_by_side(kit: Kit) -> None:
    names = [f"ep-side-{number}" for number in range(3)]
    for number, name in enumerate(names):
        kit.config(name, factor=number + 2)
        kit.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    for number, name in enumerate(names):
        assert kit.settled(name)["EndpointStatus"] == "InService"
        assert kit.invoke(name, "1") == f"{number + 2}.0"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_endpoints_come_back_after_a_restart(make_sagemaker_local: Any, end: str) -> None:
    server = make_sagemaker_local().start()
    kit = Kit(server)
    kit.create("ep-back", kit.config("ep-back", factor=6, variants={"A": 1, "B": 0}))
    kit.config("ep-slow", load_seconds=600)
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ep-back",
        DesiredWeightsAndCapacities=[
            {"VariantName": "A", "DesiredWeight": 0},
            {"VariantName": "B", "DesiredWeight": 1},
        ],
    )
    kit.sagemaker.update_endpoint(EndpointName="ep-back", EndpointConfigName="ep-slow")
    kit.sagemaker.create_endpoint(EndpointName="ep-new", EndpointConfigName="ep-back")
    containers = serving(server.state)
    getattr(server, end)()
    wait_for(lambda: not set(containers) & set(serving(server.state)), "the containers to end with the server")
    server.start()
    found = kit.settled("ep-back")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "ep-back")
    assert "restarted" in found["FailureReason"]
    answer = kit.runtime.invoke_endpoint(EndpointName="ep-back", Body="1", ContentType="text/csv", Accept="text/csv")
    assert (answer["Body"].read(), answer["InvokedProductionVariant"]) == (b"6.0", "B")
    new = kit.settled("ep-new")
    if (
        end == "kill" and new["EndpointStatus"] == "Failed"
    ):  # S3 objects of the last moments before a SIGKILL may be gone
        assert new["FailureReason"].startswith("Failed to download model data")
    else:
        assert kit.invoke("ep-new", "1") == "6.0"
