"""Shadow variants: copies of requests reach them, and whatever they do, production does not notice."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.sagemaker_local.endpoints.shadow import MOST_WAITING
from tests.kits.endpoint_kit import Kit, wait_for
from tests.kits.shadow_kit import shadow_config

pytestmark = pytest.mark.slow


def records(kit: Kit, prefix: str) -> dict[str, str]:
    """Input to output of the captured events under a prefix."""
    return {
        event["captureData"]["endpointInput"]["data"]: event["captureData"]["endpointOutput"]["data"]
        for event in kit.events(prefix)
    }


@pytest.mark.aws_fact("shadow-capture-path")
def test_production_answers_and_the_shadows_answers_are_captured(kit: Kit) -> None:
    found = kit.create("sh-all", shadow_config(kit, "sh-all", capture=kit.capture("sh-all")))
    [shadow] = found["ShadowProductionVariants"]
    assert (shadow["VariantName"], shadow["CurrentWeight"], shadow["CurrentInstanceCount"]) == ("Shadow", 1, 1)
    assert [variant["VariantName"] for variant in found["ProductionVariants"]] == ["Main"]
    for number in range(30):
        answer = kit.runtime.invoke_endpoint(
            EndpointName="sh-all", Body=str(number), ContentType="text/csv", Accept="text/csv"
        )
        assert answer["InvokedProductionVariant"] == "Main"
        assert answer["Body"].read().decode() == f"{number * 2}.0"
    for variant in ("Main", "Shadow"):
        wait_for(lambda: len(records(kit, f"sh-all/sh-all/{variant}/")) == 30, f"all events of {variant}")  # noqa: B023
    assert records(kit, "sh-all/sh-all/Shadow/") == {str(number): f"{number * 5}.0" for number in range(30)}
    assert records(kit, "sh-all/sh-all/Main/") == {str(number): f"{number * 2}.0" for number in range(30)}
    wait_for(lambda: kit.metric("Invocations", "sh-all", "Shadow") == 30, "the shadow's metrics")
    assert kit.metric("Invocations", "sh-all", "Main") == 30
    with pytest.raises(ClientError, match="Variant Shadow of endpoint sh-all of account 123456789012 not found"):
        kit.invoke("sh-all", TargetVariant="Shadow")


def test_what_is_captured_of_production_is_captured_of_its_shadow(kit: Kit) -> None:
    kit.create("sh-part", shadow_config(kit, "sh-part", capture=kit.capture("sh-part", 50)))
    for number in range(60):
        kit.invoke("sh-part", str(number))
    kit.delete("sh-part")
    main = records(kit, "sh-part/sh-part/Main/")
    assert 10 < len(main) < 50
    assert set(records(kit, "sh-part/sh-part/Shadow/")) == set(main)


@pytest.mark.aws_fact("shadow-weight")
def test_the_share_is_the_relation_of_the_weights(kit: Kit) -> None:
    capture = kit.capture("sh-share")
    kit.create("sh-share", shadow_config(kit, "sh-share", 0.25, capture=capture))
    for number in range(200):
        kit.invoke("sh-share", str(number))
    weights = [{"VariantName": "Shadow", "DesiredWeight": 0}]
    kit.sagemaker.update_endpoint_weights_and_capacities(EndpointName="sh-share", DesiredWeightsAndCapacities=weights)
    assert kit.settled("sh-share")["ShadowProductionVariants"][0]["CurrentWeight"] == 0
    for number in range(200, 250):
        kit.invoke("sh-share", str(number))
    kit.delete("sh-share")
    copied = [int(number) for number in records(kit, "sh-share/sh-share/Shadow/")]
    assert 20 < len(copied) < 80
    assert max(copied) < 200


def test_a_slow_and_a_failing_shadow_do_not_touch_production(kit: Kit) -> None:
    kit.create("sh-slow", shadow_config(kit, "sh-slow", seconds=1))
    requests = MOST_WAITING + 20
    started = time.monotonic()
    assert {kit.invoke("sh-slow", "3") for _ in range(requests)} == {"6.0"}
    assert time.monotonic() - started < requests / 2, "production waited for the shadow"
    found = kit.update("sh-slow", shadow_config(kit, "sh-fails", factor="not a number"))
    assert (found["EndpointConfigName"], found["EndpointStatus"]) == ("sh-fails", "InService")
    before = kit.metric("Invocation5XXErrors", "sh-slow", "Shadow")
    assert {kit.invoke("sh-slow", "3") for _ in range(10)} == {"6.0"}
    wait_for(lambda: kit.metric("Invocation5XXErrors", "sh-slow", "Shadow") >= before + 10, "the shadow's errors")
    assert kit.metric("Invocation5XXErrors", "sh-slow", "Main") == 0


def test_a_shadow_comes_and_goes_with_the_config_and_after_a_restart(make_sagemaker_local: Any) -> None:
    kit = Kit(make_sagemaker_local().start())
    kit.create("sh-back", kit.config("sh-none", kit.capture("sh-back")))
    found = kit.update("sh-back", shadow_config(kit, "sh-with", capture=kit.capture("sh-back")))
    assert [variant["VariantName"] for variant in found["ShadowProductionVariants"]] == ["Shadow"]
    kit.server.restart()
    kit.settled("sh-back")
    kit.invoke("sh-back", "4")
    wait_for(lambda: records(kit, "sh-back/sh-back/Shadow/") == {"4": "20.0"}, "the copy")
    assert "ShadowProductionVariants" not in kit.update("sh-back", "sh-none")


def test_a_shadow_that_does_not_load_rolls_the_update_back(kit: Kit) -> None:
    kit.create("sh-bad", kit.config("sh-good"))
    found = kit.update("sh-bad", shadow_config(kit, "sh-bad", broken=True))
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "sh-good")
    assert found["FailureReason"].startswith("The primary container for production variant Shadow did not pass")
