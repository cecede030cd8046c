"""UpdateEndpoint changes an endpoint's kind in one direction only, and wants the config that serves.

https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-update.html, sagemaker-python-sdk PR 3124,
terraform-provider-aws#40048
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits.endpoint_kit import Kit, wait_for


def variant(model: str, **kind: Any) -> list[dict[str, Any]]:
    """The production variants of a config, on an instance unless told otherwise."""
    kind = kind or {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    return [{"VariantName": "AllTraffic", "ModelName": model, **kind}]


def refusal(kit: Kit, endpoint: str, config: str) -> str:
    """What UpdateEndpoint says."""
    with pytest.raises(ClientError) as refused:
        kit.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    message: str = refused.value.response["Error"]["Message"]
    return message


@pytest.mark.aws_fact("endpoint-kind-change")
@pytest.mark.aws_fact("endpoint-resolved-image")
def test_only_from_serverless_to_instances(kit: Kit) -> None:
    instances = kit.config("kind-instances")
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
    kit.sagemaker.create_endpoint_config(
        EndpointConfigName="kind-serverless", ProductionVariants=variant(instances, ServerlessConfig=serverless)
    )
    kit.create("kind", "kind-serverless")
    assert kit.update("kind", instances)["EndpointConfigName"] == instances
    assert "serverless" in refusal(kit, "kind", "kind-serverless")
    image = kit.settled("kind")["ProductionVariants"][0]["DeployedImages"][0]
    assert "@sha256:" in image["ResolvedImage"]


@pytest.mark.aws_fact("endpoint-async-cannot-be-removed")
def test_asynchronous_stays_so(kit: Kit) -> None:
    real_time = kit.config("kind-real-time")
    output = {"OutputConfig": {"S3OutputPath": f"s3://{kit.server.bucket}/kind-async/"}}
    kit.sagemaker.create_endpoint_config(
        EndpointConfigName="kind-async", ProductionVariants=variant(real_time), AsyncInferenceConfig=output
    )
    kit.create("kind-async", "kind-async")
    said = refusal(kit, "kind-async", real_time)
    assert said.startswith("The AsyncInferenceConfig parameter cannot be removed from this endpoint kind-async.")


@pytest.mark.aws_fact("endpoint-current-config-deleted")
def test_the_config_that_serves_must_be_there(kit: Kit) -> None:
    kit.create("kind-gone", kit.config("kind-gone-1"))
    arn = kit.sagemaker.describe_endpoint_config(EndpointConfigName="kind-gone-1")["EndpointConfigArn"]
    kit.sagemaker.delete_endpoint_config(EndpointConfigName="kind-gone-1")
    assert refusal(kit, "kind-gone", kit.config("kind-gone-2")) == f'Could not find endpoint configuration "{arn}".'


@pytest.mark.aws_fact("scaling-target-goes-with-endpoint")
def test_what_scales_an_endpoint_goes_with_it(kit: Kit) -> None:
    kit.create("kind-scaled", kit.config("kind-scaled"))
    scaling = kit.server.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/kind-scaled/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    kit.delete("kind-scaled")
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[target["ResourceId"]])
    assert found["ScalableTargets"] == []
    wait_for(lambda: "kind-scaled" not in kit.names(), "the endpoint to be gone")
