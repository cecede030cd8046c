"""Endpoints of every kind, and the model builder, of the SageMaker SDK v3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kits import sdk_kit
from tests.kits.job_kit import Jobs, eventually

pytestmark = sdk_kit.MARKS


@pytest.fixture(scope="module")
def endpoint(model: str) -> Any:
    """Its endpoint."""
    from sagemaker.core.resources import Endpoint, EndpointConfig
    from sagemaker.core.shapes import ProductionVariant

    variant = ProductionVariant(
        variant_name="AllTraffic", model_name=model, initial_instance_count=1, instance_type="ml.m5.large"
    )
    EndpointConfig.create(endpoint_config_name="sdk-config", production_variants=[variant])
    found = Endpoint.create(endpoint_name="sdk-endpoint", endpoint_config_name="sdk-config")
    found.wait_for_status("InService", poll=1)
    return found


def test_an_endpoint_answers(endpoint: Any) -> None:
    answer = endpoint.invoke(body="1 2", content_type="text/csv", accept="text/csv")
    assert answer.body.read() == b"3.0\n6.0"
    assert answer.invoked_production_variant == "AllTraffic"


def test_an_endpoint_is_found_listed_and_reweighed(endpoint: Any) -> None:
    from sagemaker.core.resources import Endpoint, EndpointConfig
    from sagemaker.core.shapes import DesiredWeightAndCapacity

    assert [found.endpoint_name for found in Endpoint.get_all(name_contains="sdk-")] == ["sdk-endpoint"]
    assert Endpoint.get(endpoint_name="sdk-endpoint").endpoint_config_name == "sdk-config"
    assert EndpointConfig.get(endpoint_config_name="sdk-config").production_variants[0].model_name == "sdk-model"
    endpoint.update_weights_and_capacities(
        desired_weights_and_capacities=[DesiredWeightAndCapacity(variant_name="AllTraffic", desired_weight=2.0)]
    )
    endpoint.wait_for_status("InService", poll=1)


def test_model_builder_deploys_what_was_trained(trained: Any, session: Any, source: Path, jobs: Jobs) -> None:
    from sagemaker.core.training.configs import SourceCode
    from sagemaker.serve.model_builder import ModelBuilder

    builder = ModelBuilder(
        s3_model_data_url=trained.model_artifacts.s3_model_artifacts,
        role_arn=jobs.server.role_arn,
        sagemaker_session=session,
        image_uri=sdk_kit.SKLEARN,
        instance_type="ml.m5.large",
        source_code=SourceCode(source_dir=str(source), entry_script="inference.py"),
    )
    builder.build(model_name="sdk-built")
    deployed = builder.deploy(endpoint_name="sdk-built", wait=True)
    answer = deployed.invoke(body="2", content_type="text/csv", accept="text/csv")
    assert answer.body.read() == b"6.0"
    deployed.delete()
    deployed.wait_for_delete(poll=1)


def test_a_serverless_endpoint(trained: Any, session: Any, source: Path, jobs: Jobs) -> None:
    from sagemaker.core.inference_config import ServerlessInferenceConfig
    from sagemaker.core.training.configs import SourceCode
    from sagemaker.serve.model_builder import ModelBuilder

    builder = ModelBuilder(
        s3_model_data_url=trained.model_artifacts.s3_model_artifacts,
        role_arn=jobs.server.role_arn,
        sagemaker_session=session,
        image_uri=sdk_kit.SKLEARN,
        source_code=SourceCode(source_dir=str(source), entry_script="inference.py"),
    )
    builder.build(model_name="sdk-serverless")
    config = ServerlessInferenceConfig(memory_size_in_mb=2048, max_concurrency=2)
    found = builder.deploy(endpoint_name="sdk-serverless", inference_config=config)
    assert found.invoke(body="1", content_type="text/csv", accept="text/csv").body.read() == b"3.0"
    found.delete()


def test_an_asynchronous_endpoint(model: str, jobs: Jobs) -> None:
    from sagemaker.core.resources import Endpoint, EndpointConfig
    from sagemaker.core.shapes import AsyncInferenceConfig, AsyncInferenceOutputConfig, ProductionVariant

    output = AsyncInferenceOutputConfig(s3_output_path=f"s3://{jobs.server.bucket}/sdk/async-out")
    variant = ProductionVariant(
        variant_name="AllTraffic", model_name=model, initial_instance_count=1, instance_type="ml.m5.large"
    )
    EndpointConfig.create(
        endpoint_config_name="sdk-async",
        production_variants=[variant],
        async_inference_config=AsyncInferenceConfig(output_config=output),
    )
    found = Endpoint.create(endpoint_name="sdk-async", endpoint_config_name="sdk-async")
    found.wait_for_status("InService", poll=1)
    data = jobs.put("sdk/async-in/row.csv", "2")
    answer = found.invoke_async(input_location=data, content_type="text/csv", accept="text/csv")
    key = answer.output_location.split("/", 3)[3]
    eventually(lambda: jobs.keys(key) == [""], "the answer in S3")
    assert jobs.get(key) == b"6.0"
    found.delete()


def test_models_are_listed_and_deleted(model: str, jobs: Jobs) -> None:
    from sagemaker.core.resources import Model

    assert "sdk-model" in [found.model_name for found in Model.get_all(name_contains="sdk-model")]
    found = Model.get(model_name=model)
    assert found.primary_container.image == sdk_kit.SKLEARN
