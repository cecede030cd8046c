"""Updates that shift traffic step by step, of endpoints with a shadow variant and of asynchronous ones."""

from __future__ import annotations

from tests.kits.async_kit import arrived, async_config, submit
from tests.kits.endpoint_kit import Kit
from tests.kits.rollout_kit import baking, canary, start
from tests.kits.shadow_kit import shadow_config


def test_a_shadow_takes_part_in_an_update_and_its_new_fleet_can_end_it(kit: Kit) -> None:
    kit.create("gk-shadow", shadow_config(kit, "gk-shadow"))
    shadow_config(kit, "gk-shadow-next")
    names = {"EndpointName": "gk-shadow", "VariantName": "Shadow", "EndpointConfigName": "gk-shadow-next"}
    alarm = kit.alarm(
        "gk-shadow",
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Statistic="Sum",
        Dimensions=[{"Name": name, "Value": value} for name, value in names.items()],
    )
    start(kit, "gk-shadow", "gk-shadow-next", {**canary(), "AutoRollbackConfiguration": alarm})
    baking(kit, "gk-shadow")
    [shadow] = kit.sagemaker.describe_endpoint(EndpointName="gk-shadow")["PendingDeploymentSummary"][
        "ShadowProductionVariants"
    ]
    assert (shadow["VariantName"], shadow["CurrentInstanceCount"]) == ("Shadow", 1)
    assert shadow["VariantStatus"][0]["Status"] == "Baking"
    for _ in range(40):
        assert kit.invoke("gk-shadow", "1") == "2.0"
    found = kit.settled("gk-shadow")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "gk-shadow")
    assert found["FailureReason"].endswith("in ALARM state: gk-shadow.")
    assert kit.invoke("gk-shadow", "1") == "2.0"
    kit.delete("gk-shadow")


def test_asynchronous_requests_of_every_step_of_an_update_are_answered(kit: Kit) -> None:
    kit.create("gk-async", async_config(kit, "gk-async", concurrent=2, seconds=0.1))
    async_config(kit, "gk-async-next", concurrent=2, factor=3)
    before = [submit(kit, "gk-async", "1")["OutputLocation"] for _ in range(10)]
    start(kit, "gk-async", "gk-async-next", canary(50, 5))
    baking(kit, "gk-async")
    during = [submit(kit, "gk-async", "1")["OutputLocation"] for _ in range(40)]
    assert {arrived(kit, url) for url in during} == {"2.0", "3.0"}
    assert {arrived(kit, url) for url in before} <= {"2.0", "3.0"}
    assert kit.settled("gk-async")["EndpointConfigName"] == "gk-async-next"
    after = submit(kit, "gk-async", "1")["OutputLocation"]
    assert "/gk-async-next/out/" in after
    assert arrived(kit, after) == "3.0"
    kit.delete("gk-async")
