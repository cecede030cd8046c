"""The local SageMaker refuses what the service model forbids, in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import Shape

from include.sagemaker_local.api.dispatch import service_model
from include.sagemaker_local.api.patterns import compiled
from include.sagemaker_local.api.validation import validate
from include.sagemaker_local.errors import AwsError

ROLE = "arn:aws:iam::123456789012:role/r"
NAME_PATTERN = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


def shape_of(operation: str) -> Shape:
    shape = service_model().operation_model(operation).input_shape
    assert shape is not None
    return shape


def refusal(operation: str, request: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        validate(request, shape_of(operation))
    return caught.value


def processing(**changes: Any) -> dict[str, Any]:
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
    request: dict[str, Any] = {
        "ProcessingJobName": "a-job",
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {"ImageUri": "image:1"},
        "RoleArn": ROLE,
    }
    return {**request, **changes}


def test_a_good_request_passes() -> None:
    tags = [{"Key": "équipe 1", "Value": "a/b=c@d"}]
    validate(processing(Tags=tags, Environment={"A": "b"}), shape_of("CreateProcessingJob"))


def test_every_pattern_compiles_and_none_is_skipped() -> None:
    shapes = [service_model().shape_for(name) for name in service_model().shape_names]
    patterns = [shape.metadata["pattern"] for shape in shapes if "pattern" in shape.metadata]
    assert len(patterns) > 450
    for pattern in patterns:
        compiled(pattern)


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        (
            "CreateModel",
            {},
            "1 validation error detected: Value null at 'modelName' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "CreateModel",
            {"ModelName": None},
            "1 validation error detected: Value null at 'modelName' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "DescribeTrainingJob",
            {"TrainingJobName": "bad_name!"},
            "1 validation error detected: Value 'bad_name!' at 'trainingJobName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        (
            "DescribeTrainingJob",
            {"TrainingJobName": "n" * 70},
            f"2 validation errors detected: Value '{'n' * 70}' at 'trainingJobName' failed to satisfy constraint: "
            f"Member must have length less than or equal to 63; Value '{'n' * 70}' at 'trainingJobName' failed to "
            f"satisfy constraint: Member must satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        (
            "ListModelPackages",
            {"MaxResults": 101},
            "1 validation error detected: Value '101' at 'maxResults' failed to satisfy constraint: "
            "Member must have value less than or equal to 100",
        ),
        (
            "ListModelPackages",
            {"ModelApprovalStatus": "Pending"},
            "1 validation error detected: Value 'Pending' at 'modelApprovalStatus' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Approved, Rejected, PendingManualApproval]",
        ),
        (
            "AddTags",
            {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/m", "Tags": [{"Key": "a"}]},
            "1 validation error detected: Value null at 'tags.1.member.value' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "DeleteTags",
            {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/m", "TagKeys": []},
            "1 validation error detected: Value '[]' at 'tagKeys' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            "CreateProcessingJob",
            processing(Environment={"KEY": "v" * 257}),
            f"1 validation error detected: Value '{'v' * 257}' at 'environment.KEY.member' failed to satisfy "
            "constraint: Member must have length less than or equal to 256",
        ),
        (
            "CreateProcessingJob",
            processing(Environment={"bad key": "v"}),
            "1 validation error detected: Value 'bad key' at 'environment.bad key.key' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*",
        ),
        (
            "CreateProcessingJob",
            processing(Environment={"KEY": None}),
            "1 validation error detected: Value null at 'environment.KEY.member' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "CreateProcessingJob",
            processing(StoppingCondition={"MaxRuntimeInSeconds": 0}),
            "1 validation error detected: Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1",
        ),
    ],
)
def test_the_wording_is_that_of_aws(operation: str, request_: Any, message: str) -> None:
    error = refusal(operation, request_)
    assert (error.code, error.status, error.message) == ("ValidationException", 400, message)


def test_all_violations_come_at_once() -> None:
    request = processing(ProcessingJobName="_", RoleArn="role", Unknown=1)
    request["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.banana"
    message = refusal("CreateProcessingJob", request).message
    assert message.startswith("5 validation errors detected: ")
    for path in ("processingJobName", "processingResources.clusterConfig.instanceType", "roleArn", "unknown"):
        assert f"at '{path}'" in message


def test_an_unknown_member_names_the_known_ones() -> None:
    message = refusal("DeleteModel", {"ModelName": "m", "Nmae": "x"}).message
    assert message.endswith("Value at 'nmae' failed to satisfy constraint: Member must be one of [ModelName]")


def test_a_tag_may_hold_letters_of_any_script_but_no_control_characters() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model/m"
    validate({"ResourceArn": arn, "Tags": [{"Key": "größe 大", "Value": "Ω"}]}, shape_of("AddTags"))
    message = refusal("AddTags", {"ResourceArn": arn, "Tags": [{"Key": "a\tb", "Value": "*"}]}).message
    assert message.startswith("2 validation errors detected: ")
    validate(
        {"ModelPackageArn": f"{arn[:-7]}model-package/g/1", "ApprovalDescription": "schön!"},
        shape_of("UpdateModelPackage"),
    )


def test_customer_metadata_is_checked_in_spite_of_the_models_broken_pattern() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/g/1"
    validate({"ModelPackageArn": arn, "CustomerMetadataProperties": {"git_sha": "abc"}}, shape_of("UpdateModelPackage"))
    error = refusal("UpdateModelPackage", {"ModelPackageArn": arn, "CustomerMetadataProperties": {"a": "{}"}})
    assert "'{}' at 'customerMetadataProperties.a.member'" in error.message


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        ("DeleteModel", {"ModelName": 1}, "NUMBER_VALUE can not be converted to a String (at 'modelName')"),
        ("DeleteModel", {"ModelName": True}, "TRUE_VALUE can not be converted to a String (at 'modelName')"),
        ("DeleteModel", {"ModelName": []}, "Start of list found where not expected. (at 'modelName')"),
        ("DeleteModel", {"ModelName": {}}, "Start of structure or map found where not expected. (at 'modelName')"),
        ("ListModels", {"MaxResults": "5"}, "STRING_VALUE can not be converted to an Integer (at 'maxResults')"),
        (
            "ListModels",
            {"MaxResults": float("inf")},
            "NUMBER_VALUE can not be converted to an Integer (at 'maxResults')",
        ),
        ("ListModels", {"MaxResults": 1.5}, "NUMBER_VALUE can not be converted to an Integer (at 'maxResults')"),
        (
            "ListModels",
            {"CreationTimeAfter": "soon"},
            "STRING_VALUE can not be converted to a Timestamp (at 'creationTimeAfter')",
        ),
        ("ListModels", [], "Start of list found where not expected."),
        (
            "DeleteTags",
            {"ResourceArn": ROLE, "TagKeys": "a"},
            "STRING_VALUE can not be converted to a list (at 'tagKeys')",
        ),
    ],
)
def test_a_wrong_type_cannot_be_read(operation: str, request_: Any, message: str) -> None:
    error = refusal(operation, request_)
    assert (error.code, error.status, error.message) == ("SerializationException", 400, message)
