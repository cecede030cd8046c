"""Every way to serve that model.yaml offers leads to requests that AWS's service models accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from sagemaker_retraining.requests import (
    build_requests,
    deployment_requests,
    serve_requests,
    transform_requests,
    validate,
)
from sagemaker_retraining.requests.hosting import is_content_name, update_request, without_rollout
from sagemaker_retraining.requests.rollout import longest_seconds
from tests.kits.project import ENVIRONMENT, MODEL, PACKAGE_ARN, ExampleProject

SESSION = botocore.session.get_session()
TOPIC = "arn:aws:sns:eu-west-1:123456789012:scored"
KINDS = {
    "plain": "keep: 3",
    "all at once": "rollout: {termination_wait_seconds: 600}, alarms: [{metric: error_rate, above: 0.05}]",
    "canary": "rollout: {strategy: canary}, alarms: [{name: my alarm}]",
    "linear": "rollout: {strategy: linear, percent: 20, wait_seconds: 60, max_seconds: 3600}",
    "rolling": "rollout: {strategy: rolling}, instance_count: 4, alarms: [{metric: client_error_rate, above: 0.5}]",
    "autoscaling": "autoscaling: {max_instances: 4, invocations_per_instance: 600.5}",
    "serverless": "serverless: {memory_mb: 4096, max_concurrency: 5, provisioned_concurrency: 2}",
    "asynchronous": f'asynchronous: {{max_concurrent_invocations: 4, success_topic_arn: "{TOPIC}"}}',
    "variant": "challenger: {as: variant, percent: 5}",
    "shadow": "challenger: {as: shadow, percent: 50}",
    "batch": 'kind: batch, batch: {input_uri: "s3://lake/new/{period}/", content_type: text/csv}',
}


def requests(folder: Path, deploy: str, environment: str = "test") -> dict[str, Any]:
    project = ExampleProject(folder)
    project.write_model(f"{MODEL}deploy: {{{deploy}}}\n")
    project.write_environment(ENVIRONMENT)
    return build_requests(project.plan(environment))


@pytest.mark.parametrize("kind", KINDS)
def test_requests_are_accepted(tmp_path: Path, kind: str) -> None:
    for service, operation, request in serve_requests(requests(tmp_path, KINDS[kind]), PACKAGE_ARN):
        model = SESSION.get_service_model(service).operation_model(operation)
        report = ParamValidator().validate(request, model.input_shape)
        assert not report.has_errors(), report.generate_report()
        assert validate(operation, request, service) == []


def test_data_capture_is_in_every_config_but_those_that_cannot(tmp_path: Path) -> None:
    captures = {
        kind: "DataCaptureConfig" in requests(tmp_path / kind, text)["deploy"]["endpoint_config"]
        for kind, text in KINDS.items()
        if kind != "batch"
    }
    assert {kind for kind, captured in captures.items() if not captured} == {"serverless", "asynchronous"}


def test_a_canary(tmp_path: Path) -> None:
    deployment = requests(tmp_path, "rollout: {strategy: canary, wait_seconds: 120, percent: 15}")["deploy"][
        "deployment"
    ]
    assert deployment == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 120,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 15},
            },
            "TerminationWaitInSeconds": 300,
            "MaximumExecutionTimeoutInSeconds": 2 * 120 + 300 + 3600,
        }
    }
    assert longest_seconds(deployment) == 2 * 120 + 300 + 3600 + 3600
    assert longest_seconds(None) == 3600


def test_alarms_are_named_after_their_content(tmp_path: Path) -> None:
    def alarm(folder: str, text: str) -> dict[str, Any]:
        deploy = f"rollout: {{strategy: canary}}, alarms: [{{{text}}}]"
        found: dict[str, Any] = requests(tmp_path / folder, deploy)["deploy"]["alarms"][0]
        return found

    one, again = (alarm(folder, "metric: latency_p99_ms, above: 200") for folder in "ab")
    other = alarm("c", "metric: latency_p99_ms, above: 300")
    assert one == again
    assert one["AlarmName"] != other["AlarmName"]
    assert one["AlarmName"].startswith("demo-model-test-latency-p99-ms-")
    assert (one["ExtendedStatistic"], one["Threshold"]) == ("p99", 200_000)
    assert "Statistic" not in one  # PutMetricAlarm takes one of the two


def test_an_update_never_keeps_the_old_capture_or_weights() -> None:
    request = update_request("e", "c", keep_instances=True)
    excluded = {item["VariantPropertyType"] for item in request["ExcludeRetainedVariantProperties"]}
    assert excluded == {"DataCaptureConfig", "DesiredWeight"}
    assert set(update_request("e", "c")) == {"EndpointName", "EndpointConfigName"}


def test_a_challenger_stands_beside_the_champion_and_never_beside_itself(tmp_path: Path) -> None:
    deploy = requests(tmp_path, KINDS["variant"])["deploy"]
    alone = deployment_requests(deploy, PACKAGE_ARN)
    new = alone["CreateModel"]["ModelName"]
    assert deployment_requests(deploy, PACKAGE_ARN, new) == alone
    config = deployment_requests(deploy, PACKAGE_ARN, "old")["CreateEndpointConfig"]
    assert [(v["VariantName"], v["ModelName"], v["InitialVariantWeight"]) for v in config["ProductionVariants"]] == [
        ("AllTraffic", "old", 0.95),
        ("Challenger", new, 0.05),
    ]
    at_once = deployment_requests(without_rollout(deploy), PACKAGE_ARN, "old")["CreateEndpointConfig"]
    assert [variant["ModelName"] for variant in at_once["ProductionVariants"]] == [new]


def test_a_shadow_gets_copies(tmp_path: Path) -> None:
    deploy = requests(tmp_path, KINDS["shadow"])["deploy"]
    config = deployment_requests(deploy, PACKAGE_ARN, "old")["CreateEndpointConfig"]
    [champion], [shadow] = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert (champion["ModelName"], champion["InitialVariantWeight"]) == ("old", 1.0)
    assert (shadow["VariantName"], shadow["InitialVariantWeight"]) == ("Challenger", 0.5)


def test_the_way_back_waits_for_nothing(tmp_path: Path) -> None:
    deploy = without_rollout(requests(tmp_path, KINDS["all at once"])["deploy"])
    assert set(deploy) == {"model", "endpoint_config", "endpoint"}


def test_predictions_have_the_months_place(tmp_path: Path) -> None:
    config = requests(tmp_path, KINDS["batch"])["transform"]
    job = transform_requests(config, PACKAGE_ARN)["CreateTransformJob"]
    assert job["TransformOutput"]["S3OutputPath"] == "s3://demo-bucket/demo_model/predictions/period=2013-11/"
    assert job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://lake/new/2013-11/"


@pytest.mark.parametrize(
    ("name", "ours"),
    [("demo-0123456789", True), ("demo-eu-0123456789", False), ("demo-012345678", False), ("demo-012345678g", False)],
)
def test_names_that_deployments_make(name: str, ours: bool) -> None:
    assert is_content_name(name, "demo") is ours
