"""Deployment guardrails for real: traffic shifts step by step, and whatever is wrong with a new version ends it."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits.busy_client import BusyClient
from tests.kits.endpoint_kit import HEALTH_CHECK, Kit, wait_for
from tests.kits.refusals import error_response
from tests.kits.rollout_kit import baking, blue_green, canary, percent, rolling, start

pytestmark = pytest.mark.slow


def alarm_state(kit: Kit, name: str) -> dict[str, Any]:
    alarms: list[dict[str, Any]] = kit.server.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return alarms[0]


def trip(kit: Kit, name: str) -> None:
    kit.server.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="for a test")


class Stages:
    """The stages of an endpoint's deployments, as EventBridge tells them."""

    def __init__(self, kit: Kit, name: str) -> None:
        self._sqs = kit.server.client("sqs")
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        events = kit.server.client("events")
        pattern = {
            "detail-type": ["SageMaker Endpoint Deployment State Change"],
            "detail": {"EndpointName": [name]},
        }
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": attributes["QueueArn"]}])

    def _details(self) -> Iterator[dict[str, Any]]:
        while found := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                yield json.loads(message["Body"])["detail"]

    def all(self) -> list[tuple[str, str]]:
        """Status and message of each stage, in the order of their times."""
        stages = []
        for detail in self._details():
            for variant in (*detail["PendingDeploymentSummary"]["ProductionVariants"], *detail["ProductionVariants"]):
                stages += [(s["StartTime"], s["Status"], s["StatusMessage"]) for s in variant.get("VariantStatus", [])]
        return [stage[1:] for stage in sorted(set(stages))]


def test_a_canary_takes_its_share_and_then_all(kit: Kit) -> None:
    kit.create("gr-canary", kit.config("gr-canary"))
    kit.config("gr-canary-next", factor=3)
    stages, client = Stages(kit, "gr-canary"), BusyClient(kit, "gr-canary")
    found = kit.update("gr-canary", "gr-canary-next", DeploymentConfig=canary(25, 2, TerminationWaitInSeconds=1))
    client.stop()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "gr-canary-next")
    assert "PendingDeploymentSummary" not in found
    assert "VariantStatus" not in found["ProductionVariants"][0]
    assert client.errors == []
    assert stages.all() == [
        ("Creating", "Launching 1 instance(s)."),
        ("ActivatingTraffic", "Activating traffic on canary capacity of 1 instance(s)."),
        (
            "Baking",
            "Baking for 2 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 instance(s).",
        ),
        ("ActivatingTraffic", "Activating traffic on full capacity of 1 instance(s)."),
        (
            "Baking",
            "Baking for 1 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 1 instance(s).",
        ),
        ("Deleting", "Terminating 1 instance(s)."),
    ]
    assert kit.invoke("gr-canary", "1") == "3.0"


@pytest.mark.aws_fact("endpoint-alarm-of-old-fleet")
def test_an_alarm_during_the_canary_sends_all_requests_back(kit: Kit) -> None:
    kit.create("gr-back", kit.config("gr-back"))
    kit.config("gr-back-next", factor=3)
    start(kit, "gr-back", "gr-back-next", {**canary(25), "AutoRollbackConfiguration": kit.alarm("gr-back-alarm")})
    variant = baking(kit, "gr-back")
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    found = kit.sagemaker.describe_endpoint(EndpointName="gr-back")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", "gr-back")
    answers = Counter(kit.invoke("gr-back", "1") for _ in range(300))
    assert abs(answers["3.0"] - 75) < 5 * (300 * 0.25 * 0.75) ** 0.5
    assert answers["2.0"] + answers["3.0"] == 300
    client = BusyClient(kit, "gr-back")
    trip(kit, "gr-back-alarm")
    found = kit.settled("gr-back")
    client.stop()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "gr-back")
    assert found["FailureReason"].endswith("alarm(s) are in ALARM state: gr-back-alarm.")
    assert "PendingDeploymentSummary" not in found
    assert client.errors == []
    assert {kit.invoke("gr-back", "1") for _ in range(30)} == {"2.0"}


def test_linear_and_rolling_move_step_by_step(kit: Kit) -> None:
    kit.create("gr-steps", kit.config("gr-steps"))
    for kind, deployment, shares in (
        ("linear", blue_green("LINEAR", 0, LinearStepSize=percent(40)), ["partial", "partial", "full"]),
        ("rolling", rolling(percent(50), WaitIntervalInSeconds=0), ["partial", "full"]),
    ):
        stages = Stages(kit, "gr-steps")
        found = kit.update("gr-steps", kit.config(f"gr-steps-{kind}"), DeploymentConfig=deployment)
        assert (found["EndpointConfigName"], "FailureReason" in found) == (f"gr-steps-{kind}", False)
        assert found["LastDeploymentConfig"] == deployment
        activated = [message for status, message in stages.all() if status == "ActivatingTraffic"]
        assert activated == [f"Activating traffic on {share} capacity of 1 instance(s)." for share in shares]


@pytest.mark.parametrize(
    ("fault", "alarm"),
    [
        ({"fails": True}, {"MetricName": "Invocation5XXErrors", "Threshold": 0.2}),
        ({"crashes": "predicting"}, {"MetricName": "Invocation5XXErrors", "Statistic": "Sum"}),
        ({"seconds": 0.3}, {"MetricName": "ModelLatency", "ExtendedStatistic": "p99", "Threshold": 250_000}),
    ],
    ids=["fails", "crashes", "slow"],
)
def test_a_version_that_answers_badly_trips_its_alarm(kit: Kit, fault: Any, alarm: Any, request: Any) -> None:
    name = f"gr-bad-{request.node.callspec.id}"
    kit.create(name, kit.config(name))
    kit.config(f"{name}-next", factor=3, **fault)
    rollback = kit.alarm(f"{name}-alarm", name, f"{name}-next", **alarm)
    start(kit, name, f"{name}-next", {**canary(), "AutoRollbackConfiguration": rollback})
    baking(kit, name)
    client = BusyClient(kit, name)
    found = kit.settled(name)
    client.stop()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", name)
    assert f"{name}-alarm" in found["FailureReason"]
    state = alarm_state(kit, f"{name}-alarm")
    assert state["StateValue"] == "ALARM"
    assert state["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [")
    assert {kit.invoke(name, "1") for _ in range(20)} == {"2.0"}
    found = kit.update(name, kit.config(f"{name}-good", factor=5), RetainDeploymentConfig=True)
    assert (found["EndpointConfigName"], "FailureReason" in found) == (f"{name}-good", False)


@pytest.mark.parametrize("fault", [{"broken": True}, {"crashes": "loading"}], ids=["broken", "crashes"])
def test_a_version_that_does_not_come_up_gets_no_request(kit: Kit, fault: Any, request: Any) -> None:
    name = f"gr-start-{request.node.callspec.id}"
    kit.create(name, kit.config(name))
    client = BusyClient(kit, name)
    found = kit.update(name, kit.config(f"{name}-next", **fault), DeploymentConfig=canary())
    client.stop()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", name)
    assert found["FailureReason"] == HEALTH_CHECK
    assert client.errors == []
    assert kit.update(name, kit.config(f"{name}-good", factor=4))["EndpointConfigName"] == f"{name}-good"
    assert kit.invoke(name, "1") == "4.0"


def test_alarms_that_are_missing_or_in_alarm_already(kit: Kit) -> None:
    kit.create("gr-alarms", kit.config("gr-alarms"))
    kit.config("gr-alarms-next")
    rollback = {"Alarms": [{"AlarmName": "gr-nobody"}]}
    update = {"EndpointName": "gr-alarms", "EndpointConfigName": "gr-alarms-next"}
    deployment = {**canary(), "AutoRollbackConfiguration": rollback}
    error = error_response(kit.sagemaker.update_endpoint, **update, DeploymentConfig=deployment)["Error"]
    assert error == {"Code": "ValidationException", "Message": "Could not find CloudWatch alarm(s): gr-nobody."}
    error = error_response(
        kit.sagemaker.update_endpoint, **update, DeploymentConfig={**canary(), **rolling(percent(50))}
    )
    assert error["Error"]["Message"].startswith("Only one update policy")
    assert kit.sagemaker.describe_endpoint(EndpointName="gr-alarms")["EndpointStatus"] == "InService"
    alarm = kit.alarm("gr-red")
    trip(kit, "gr-red")
    found = kit.update("gr-alarms", "gr-alarms-next", DeploymentConfig={**canary(), "AutoRollbackConfiguration": alarm})
    assert found["EndpointConfigName"] == "gr-alarms"
    assert found["FailureReason"].endswith("gr-red.")


def test_alarms_follow_the_metrics_without_an_update_too(kit: Kit) -> None:
    kit.create("gr-watch", kit.config("gr-watch"))
    kit.alarm("gr-watch-4xx", "gr-watch", MetricName="Invocation4XXErrors", TreatMissingData="missing")
    kit.alarm("gr-watch-busy", "gr-watch", MetricName="Invocations", Statistic="Sum", Threshold=4, Period=60)
    wait_for(lambda: alarm_state(kit, "gr-watch-4xx")["StateValue"] == "INSUFFICIENT_DATA", "no data", 120)
    for _ in range(5):
        kit.invoke("gr-watch")
    wait_for(lambda: alarm_state(kit, "gr-watch-busy")["StateValue"] == "ALARM", "five invocations in a minute", 120)


@pytest.mark.aws_fact("endpoint-guardrail-exclusions")
def test_fleets_of_different_variants_are_not_shifted_step_by_step(kit: Kit) -> None:
    kit.create("gr-names", kit.config("gr-names"))
    update = {"EndpointName": "gr-names", "EndpointConfigName": kit.config("gr-names-ab", variants={"A": 1, "B": 1})}
    error = error_response(kit.sagemaker.update_endpoint, **update, DeploymentConfig=canary())["Error"]
    assert error["Code"] == "ValidationException"
    assert "AllTraffic is deployed, A, B was requested" in error["Message"]
    assert kit.update(**{"name": "gr-names", "config": "gr-names-ab"})["EndpointConfigName"] == "gr-names-ab"


def test_a_rollback_that_fails_leaves_both_versions_serving(kit: Kit) -> None:
    kit.create("gr-mixed", kit.config("gr-mixed"))
    switch(kit, {"fail_rollback": [{"endpoint": "gr-mixed"}]})
    kit.config("gr-mixed-next", factor=3)
    start(kit, "gr-mixed", "gr-mixed-next", {**canary(), "AutoRollbackConfiguration": kit.alarm("gr-mixed-alarm")})
    baking(kit, "gr-mixed")
    trip(kit, "gr-mixed-alarm")
    found = kit.settled("gr-mixed")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("UpdateRollbackFailed", "gr-mixed")
    assert "gr-mixed-alarm" in found["FailureReason"]
    assert "mix of the old and new" in found["FailureReason"]
    assert {kit.invoke("gr-mixed", "1") for _ in range(60)} == {"2.0", "3.0"}
    error = error_response(
        kit.sagemaker.update_endpoint_weights_and_capacities,
        EndpointName="gr-mixed",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 1}],
    )
    assert error["Error"]["Code"] == "ValidationException"
    client = BusyClient(kit, "gr-mixed")
    found = kit.update("gr-mixed", kit.config("gr-mixed-good", factor=5))
    client.stop()
    assert (found["EndpointStatus"], "FailureReason" in found) == ("InService", False)
    assert client.errors == []
    assert {kit.invoke("gr-mixed", "1") for _ in range(20)} == {"5.0"}


def switch(kit: Kit, faults: dict[str, Any]) -> None:
    """Set the fault switches."""
    request = urllib.request.Request(f"{kit.server.url}/_local/faults", json.dumps(faults).encode(), method="PUT")  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_in_the_middle_of_a_canary_ends_on_the_old_config(make_sagemaker_local: Any, end: str) -> None:
    server = make_sagemaker_local().start()
    kit = Kit(server)
    kit.create("gr-restart", kit.config("gr-restart"))
    start(kit, "gr-restart", kit.config("gr-restart-next", factor=3), canary())
    baking(kit, "gr-restart")
    getattr(server, end)()
    server.start()
    found = kit.settled("gr-restart")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "gr-restart")
    assert "restarted" in found["FailureReason"]
    assert {kit.invoke("gr-restart", "1") for _ in range(20)} == {"2.0"}
    folder = server.state / "endpoints" / "gr-restart"
    assert len(list(folder.iterdir())) == 1, "nothing is left of the fleet that was being tried"


def test_an_endpoint_in_the_middle_of_a_canary_takes_no_other_change(kit: Kit) -> None:
    kit.create("gr-busy", kit.config("gr-busy"))
    kit.config("gr-busy-next")
    start(kit, "gr-busy", "gr-busy-next", {**canary(), "AutoRollbackConfiguration": kit.alarm("gr-busy-alarm")})
    baking(kit, "gr-busy")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        start(kit, "gr-busy", "gr-busy-next", canary())
    trip(kit, "gr-busy-alarm")
    assert kit.settled("gr-busy")["EndpointConfigName"] == "gr-busy"
