"""What a DeploymentConfig may say, the steps it means, and the end of an update that takes too long."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import MagicMock

import pytest

from include.sagemaker_local.context import Context, Settings
from include.sagemaker_local.endpoints import guardrails
from include.sagemaker_local.endpoints.rollout import Parts, Rollout
from include.sagemaker_local.endpoints.traffic import Traffic
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.state.store import Store
from tests.kits.rollout_kit import blue_green, count, percent, rolling

VARIANT = {"VariantName": "AllTraffic", "InitialInstanceCount": 4}


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        (None, [(1, 0)]),
        ({"AutoRollbackConfiguration": {}}, [(1, 0)]),
        (blue_green("ALL_AT_ONCE", TerminationWaitInSeconds=30), [(1, 30)]),
        (blue_green("CANARY", CanarySize=percent(10), TerminationWaitInSeconds=30), [(0.1, 60), (1, 30)]),
        (blue_green("CANARY", CanarySize=count(1)), [(0.25, 60), (1, 0)]),
        (blue_green("LINEAR", LinearStepSize=percent(30)), [(0.3, 60), (0.6, 60), (0.9, 60), (1, 0)]),
        (blue_green("LINEAR", LinearStepSize=count(2)), [(0.5, 60), (1, 0)]),
        (rolling(percent(50)), [(0.5, 60), (1, 60)]),
        (rolling(count(1)), [(0.25, 60), (0.5, 60), (0.75, 60), (1, 60)]),
    ],
)
def test_steps(config: dict[str, Any] | None, steps: list[tuple[float, int]]) -> None:
    guardrails.check(config, [VARIANT])
    found = guardrails.update_policy(config, [VARIANT]).steps
    assert [(pytest.approx(step.share), step.bake_seconds) for step in found] == steps


def test_a_rollback_is_at_once_or_in_batches() -> None:
    at_once = guardrails.update_policy(rolling(count(1)), [VARIANT])
    assert at_once.rollback_shares == [0]
    in_batches = guardrails.update_policy(rolling(count(1), RollbackMaximumBatchSize=count(2)), [VARIANT])
    assert in_batches.rollback_shares == [0.5, 0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**blue_green("ALL_AT_ONCE"), **rolling(count(1))}, "Only one update policy"),
        (blue_green("CANARY"), "CanarySize must be specified"),
        (blue_green("LINEAR"), "LinearStepSize must be specified"),
        (blue_green("LINEAR", CanarySize=percent(10)), "CanarySize must not be specified"),
        (blue_green("ALL_AT_ONCE", LinearStepSize=percent(10)), "LinearStepSize must not be specified"),
        (blue_green("CANARY", CanarySize=percent(51)), "CanarySize of 51 (CAPACITY_PERCENT) is invalid"),
        (blue_green("CANARY", CanarySize=count(3)), "CanarySize of 3 (INSTANCE_COUNT) is invalid"),
        (blue_green("LINEAR", LinearStepSize=percent(9)), "LinearStepSize of 9"),
        (blue_green("LINEAR", LinearStepSize=percent(51)), "LinearStepSize of 51"),
        (rolling(percent(4)), "MaximumBatchSize of 4"),
        (rolling(count(3)), "MaximumBatchSize of 3"),
        (rolling(count(1), RollbackMaximumBatchSize=count(5)), "RollbackMaximumBatchSize of 5"),
        (blue_green("CANARY", 600, CanarySize=percent(10), MaximumExecutionTimeoutInSeconds=600), "total waiting time"),
        (blue_green("LINEAR", 100, LinearStepSize=percent(10), MaximumExecutionTimeoutInSeconds=900), "of 900 seconds"),
        (rolling(percent(10), MaximumExecutionTimeoutInSeconds=600), "total waiting time of 600 seconds"),
    ],
)
def test_rules(config: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError) as caught:
        guardrails.check(config, [VARIANT])
    assert caught.value.code == "ValidationException"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([VARIANT, {**VARIANT, "VariantName": "Other"}], "not supported for multi-variant"),
        ([{"VariantName": "AllTraffic", "ServerlessConfig": {}}], "not supported for serverless"),
    ],
)
@pytest.mark.aws_fact("endpoint-guardrail-exclusions")
def test_endpoints_that_cannot_roll(variants: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(AwsError, match=message):
        guardrails.check(rolling(percent(50)), variants)


def test_an_update_that_takes_longer_than_its_timeout_is_rolled_back(tmp_path: Path) -> None:
    config = blue_green("CANARY", 3600, CanarySize=percent(10), MaximumExecutionTimeoutInSeconds=0.2)
    plan = {"Id": "new", "EndpointConfigName": "new", "ProductionVariants": [VARIANT], "DeploymentConfig": config}
    variant = {"VariantName": "AllTraffic", "DesiredInstanceCount": 4, "CurrentWeight": 1}
    store = Store(tmp_path / "store.sqlite")
    body = {
        "EndpointName": "late",
        "EndpointArn": "arn:late",
        "EndpointConfigName": "old",
        "EndpointStatus": "Updating",
        "ProductionVariants": [variant],
        "PendingDeploymentSummary": {"EndpointConfigName": "new", "ProductionVariants": [variant]},
        "_Deployed": {"Id": "old"},
        "_Pending": {**plan, "Containers": {"AllTraffic": {"Image": "image"}}, "DataCaptureConfig": None},
    }
    store.insert("endpoint", "late", body)
    settings = Settings("127.0.0.1", 0, tmp_path, Path("python"))
    blue, green, builder, alarms = MagicMock(), MagicMock(), MagicMock(), MagicMock()
    builder.bring_up.return_value, alarms.in_alarm.return_value = green, []
    traffic = Traffic(blue)
    parts = Parts(
        Context(settings, store, MagicMock(), "rewrite"), builder, alarms, MagicMock(), Event(), lambda name: False
    )
    Rollout(parts, "late", body, traffic).run()
    found = store.get("endpoint", "late")
    assert found is not None
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "old")
    assert "exceeded MaximumExecutionTimeoutInSeconds of 0.2 seconds" in found["FailureReason"]
    assert {traffic.draw() for _ in range(50)} == {blue}
    green.stop.assert_called_once_with()
    blue.stop.assert_not_called()
