"""Models and endpoint configurations, and what AWS refuses about them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.model_package_kit import IMAGE, inference_specification
from tests.kits.refusals import refused

ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012"
VARIANT = {"VariantName": "AllTraffic", "InitialInstanceCount": 1, "InstanceType": "ml.m6i.large"}
CAPTURE = {
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}


@pytest.fixture
def container(sagemaker_local: LocalSageMaker) -> dict[str, Any]:
    """A container whose artefact exists."""
    return dict(inference_specification(sagemaker_local)["Containers"][0])


@pytest.fixture
def model(sagemaker_local: LocalSageMaker, sagemaker: Any, container: Any, request: pytest.FixtureRequest) -> str:
    """A new model named after the test."""
    name: str = request.node.name.replace("_", "-")[:60].strip("-")
    role = sagemaker_local.role_arn
    sagemaker.create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role, Tags=[{"Key": "a", "Value": "b"}]
    )
    return name


@pytest.mark.aws_fact("model-describe-defaults")
def test_a_model(sagemaker: Any, model: str, container: dict[str, Any]) -> None:
    found = sagemaker.describe_model(ModelName=model)
    assert found["ModelArn"] == f"{ACCOUNT}:model/{model}"
    assert found["PrimaryContainer"] == {**container, "Mode": "SingleModel"}
    assert found["EnableNetworkIsolation"] is False
    assert sagemaker.list_tags(ResourceArn=found["ModelArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    assert [entry["ModelName"] for entry in sagemaker.list_models(NameContains=model)["Models"]] == [model]
    again = refused(sagemaker.create_model, ModelName=model, PrimaryContainer=container)
    assert again == ("ValidationException", f'Cannot create already existing model "{found["ModelArn"]}".')
    sagemaker.delete_model(ModelName=model)
    for call in (sagemaker.describe_model, sagemaker.delete_model):
        gone = refused(call, ModelName=model)
        assert gone == ("ValidationException", f'Could not find model "{found["ModelArn"]}".')


def test_a_multi_model_container_is_not_implemented_and_says_so(sagemaker: Any, container: dict[str, Any]) -> None:
    prefix = container["ModelDataUrl"].rpartition("/")[0] + "/"
    many = {**container, "Mode": "MultiModel", "ModelDataUrl": prefix}
    code, text = refused(sagemaker.create_model, ModelName="multi-model", PrimaryContainer=many)
    assert code == "UnsupportedOperation"
    assert text.startswith(f"Mode MultiModel with the prefix {prefix} is not implemented")


def test_a_model_of_a_registered_version(sagemaker_local: LocalSageMaker, sagemaker: Any) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="hosting-version")
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="hosting-version", InferenceSpecification=inference_specification(sagemaker_local)
    )["ModelPackageArn"]
    sagemaker.create_model(ModelName="hosting-version", PrimaryContainer={"ModelPackageName": arn})
    assert sagemaker.describe_model(ModelName="hosting-version")["PrimaryContainer"] == {
        "ModelPackageName": arn,
        "Mode": "SingleModel",
    }
    gone = refused(
        sagemaker.create_model, ModelName="other-version", PrimaryContainer={"ModelPackageName": f"{arn[:-1]}9"}
    )
    assert gone == ("ValidationException", f"ModelPackage {arn[:-1]}9 does not exist.")


@pytest.mark.aws_fact("model-artefact-missing")
def test_models_that_are_refused(sagemaker_local: LocalSageMaker, sagemaker: Any, container: dict[str, Any]) -> None:
    def refusal(**request: Any) -> str:
        code, message = refused(sagemaker.create_model, ModelName="refused", **request)
        assert code == "ValidationException"
        return message

    nowhere = "arn:aws:iam::123456789012:role/nowhere"
    assert refusal(PrimaryContainer=container, ExecutionRoleArn=nowhere) == (
        f"Could not assume role {nowhere}. Please ensure that the role exists and allows principal "
        f"'sagemaker.amazonaws.com' to assume the role."
    )
    iam = sagemaker_local.client("iam")
    untrusting = iam.create_role(RoleName="untrusting", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    assert refusal(PrimaryContainer=container, ExecutionRoleArn=untrusting).startswith("Could not assume role ")
    trust = iam.get_role(RoleName=sagemaker_local.role_arn.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    below = iam.create_role(RoleName="hosting", Path="/ml/team/", AssumeRolePolicyDocument=json.dumps(trust))["Role"][
        "Arn"
    ]
    without_path = below.replace("ml/team/", "")
    assert refusal(PrimaryContainer=container, ExecutionRoleArn=without_path).startswith("Could not assume role ")
    sagemaker.create_model(ModelName="role-with-a-path", PrimaryContainer=container, ExecutionRoleArn=below)
    missing = {**container, "ModelDataUrl": "s3://no-such-bucket/model.tar.gz"}
    assert refusal(PrimaryContainer=missing) == "Could not find model data at s3://no-such-bucket/model.tar.gz."
    prefix = {"S3Uri": f"s3://{sagemaker_local.bucket}/nothing/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    source = {"Image": IMAGE, "ModelDataSource": {"S3DataSource": prefix}}
    assert refusal(PrimaryContainer=source) == f"Could not find model data at {prefix['S3Uri']}."
    assert "either a PrimaryContainer or Containers" in refusal()
    assert "either a PrimaryContainer or Containers" in refusal(PrimaryContainer=container, Containers=[container])
    assert "either Image or ModelPackageName" in refusal(PrimaryContainer={"ModelDataUrl": container["ModelDataUrl"]})
    assert refused(sagemaker.describe_model, ModelName="refused")[0] == "ValidationException"


def test_an_endpoint_configuration(sagemaker: Any, model: str) -> None:
    variants = [{**VARIANT, "ModelName": model}]
    arn = sagemaker.create_endpoint_config(
        EndpointConfigName=model, ProductionVariants=variants, DataCaptureConfig=CAPTURE
    )["EndpointConfigArn"]
    found = sagemaker.describe_endpoint_config(EndpointConfigName=model)
    assert arn == found["EndpointConfigArn"] == f"{ACCOUNT}:endpoint-config/{model}"
    assert found["ProductionVariants"] == [{**variants[0], "InitialVariantWeight": 1.0}]
    assert found["DataCaptureConfig"] == {**CAPTURE, "EnableCapture": True}
    listed = sagemaker.list_endpoint_configs(NameContains=model)["EndpointConfigs"]
    assert [entry["EndpointConfigName"] for entry in listed] == [model]
    again = refused(sagemaker.create_endpoint_config, EndpointConfigName=model, ProductionVariants=variants)
    assert again == ("ValidationException", f'Cannot create already existing endpoint configuration "{arn}".')
    sagemaker.delete_endpoint_config(EndpointConfigName=model)
    for call in (sagemaker.describe_endpoint_config, sagemaker.delete_endpoint_config):
        gone = refused(call, EndpointConfigName=model)
        assert gone == ("ValidationException", f'Could not find endpoint configuration "{arn}".')


@pytest.mark.aws_fact("shadow-one-production-variant")
@pytest.mark.aws_fact("config-capture-serverless")
def test_endpoint_configurations_that_are_refused(sagemaker: Any, model: str) -> None:
    def refusal(*variants: dict[str, Any], **request: Any) -> str:
        code, message = refused(
            sagemaker.create_endpoint_config, EndpointConfigName="no", ProductionVariants=list(variants), **request
        )
        assert code == "ValidationException"
        return message

    variant = {**VARIANT, "ModelName": model}
    serverless = {
        "VariantName": "s",
        "ModelName": model,
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1},
    }
    odd = {**serverless, "ServerlessConfig": {"MemorySizeInMB": 2000, "MaxConcurrency": 1}}
    assert refusal({**variant, "ModelName": "none"}) == f'Could not find model "{ACCOUNT}:model/none".'
    assert "must be unique" in refusal(variant, variant)
    assert "needs InstanceType and InitialInstanceCount" in refusal({"VariantName": "a", "ModelName": model})
    assert "multiple of 1024" in refusal(odd)
    assert "ServerlessConfig" in refusal({**serverless, **VARIANT})
    assert "not supported for serverless" in refusal(serverless, DataCaptureConfig=CAPTURE)
    assert "ModelName is required" in refusal(VARIANT)
    shadow = [{**variant, "VariantName": name} for name in ("b", "c")]
    assert "exactly one production variant" in refusal(variant, ShadowProductionVariants=shadow)
    assert "Member must satisfy enum value set" in refusal({**variant, "InstanceType": "ml.banana"})
    assert refused(sagemaker.describe_endpoint_config, EndpointConfigName="no")[0] == "ValidationException"
