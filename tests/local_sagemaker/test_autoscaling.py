"""Application Auto Scaling: policies are kept, described, and followed by the counts of a variant."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits.endpoint_kit import Kit, wait_for


@pytest.mark.aws_fact("scaling-updating")
@pytest.mark.aws_fact("scaling-instance-type-kept")
def test_a_variant_follows_its_invocations_and_the_policy_survives_a_restart(make_sagemaker_local: Any) -> None:
    server = make_sagemaker_local().start()
    kit = Kit(server)
    kit.create("as-scaled", kit.config("as-scaled"))
    scaling = server.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/as-scaled/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    tracking = {
        "TargetValue": 10.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleInCooldown": 3600,
        "ScaleOutCooldown": 0,
    }
    scaling.register_scalable_target(**target, MinCapacity=2, MaxCapacity=4)
    scaling.put_scaling_policy(
        **target,
        PolicyName="as-policy",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )

    def scaling_to() -> int:
        endpoint = kit.sagemaker.describe_endpoint(EndpointName="as-scaled")
        variant = endpoint["ProductionVariants"][0]
        if endpoint["EndpointStatus"] == "InService":
            assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"]
            assert "VariantStatus" not in variant
            return 0
        assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("Updating", "as-scaled")
        assert "PendingDeploymentSummary" not in endpoint
        [stage] = variant["VariantStatus"]
        wanted = variant["DesiredInstanceCount"]
        assert (stage["Status"], stage["StatusMessage"]) == (
            "Updating",
            f"Scaling out desired instance count to {wanted}.",
        )
        return int(wanted)

    wait_for(lambda: scaling_to() == 2, "the minimum", 120)
    kit.config("as-scaled-ab", variants={"A": 1, "B": 1})
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        kit.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="as-scaled", DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 1}]
        )
    assert kit.settled("as-scaled")["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    for _ in range(60):
        kit.invoke("as-scaled")
    wait_for(lambda: scaling_to() == 4, "the maximum", 120)
    assert kit.settled("as-scaled")["ProductionVariants"][0]["CurrentInstanceCount"] == 4
    with pytest.raises(ClientError, match=r'variant\(s\) \["AllTraffic"\] must be deregistered as scalable targets'):
        kit.update("as-scaled", "as-scaled-ab")
    kit.config("as-scaled-next")
    found = kit.update("as-scaled", "as-scaled-next", RetainAllVariantProperties=True)
    assert found["ProductionVariants"][0]["DesiredInstanceCount"] == 4
    server.restart()
    scaling = server.client("application-autoscaling")
    [policy] = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"] == tracking
    assert kit.settled("as-scaled")["ProductionVariants"][0]["DesiredInstanceCount"] == 4
