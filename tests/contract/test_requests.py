"""Every request of a run is one that botocore, and our full check, accept; every kind of mistake is found."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from sagemaker_retraining.plan import Champion, CodePackage
from sagemaker_retraining.requests import (
    RequestError,
    build_requests,
    complete_package,
    deployment_requests,
    metric_sources,
    serve_requests,
    validate,
)
from sagemaker_retraining.requests.approval import MOST_CHANGES
from sagemaker_retraining.requests.registry import (
    STATISTICS,
    foreign_tags,
    refusal_request,
    validation_failures,
)
from sagemaker_retraining.requests.service_history import MOST_LINES
from tests.kits.project import CHAMPION, GATE, PACKAGE_ARN, RESULTS, TRAINING, ExampleProject

MODEL = botocore.session.get_session().get_service_model("sagemaker")
OPERATIONS = [
    "CreateProcessingJob preprocess",
    "CreateProcessingJob evaluate",
    "CreateTrainingJob",
    "CreateModelPackageGroup",
    "CreateModelPackage",
    "CreateModel",
    "CreateEndpointConfig",
    "CreateEndpoint",
    "UpdateEndpoint",
]


def registered(requests: dict[str, Any], **results: Any) -> dict[str, Any]:
    """The version's request when every object that a job may leave is there."""
    changed = dataclasses.replace(RESULTS, **results)
    return complete_package(requests["register"]["package"], changed, metric_sources(changed))


def all_requests(folder: Path, environment: str) -> dict[str, dict[str, Any]]:
    plan = ExampleProject(folder).plan(
        environment,
        champion=CHAMPION if environment == "prod" else None,
        code=CodePackage("c0de" * 16, (("requirements.txt", b"x==1\n"),) if environment == "prod" else ()),
    )
    requests = build_requests(plan)
    return {
        "CreateProcessingJob preprocess": requests["preprocess"],
        "CreateProcessingJob evaluate": requests["evaluate"],
        "CreateTrainingJob": requests["train"],
        "CreateModelPackageGroup": requests["register"]["group"],
        "CreateModelPackage": registered(requests),
        **{operation: request for _, operation, request in serve_requests(requests, PACKAGE_ARN)},
    }


@pytest.mark.parametrize("environment", ["test", "prod"])
@pytest.mark.parametrize("step", OPERATIONS)
def test_requests_are_accepted(tmp_path: Path, environment: str, step: str) -> None:
    request, operation = all_requests(tmp_path, environment)[step], step.split(maxsplit=1)[0]
    report = ParamValidator().validate(request, MODEL.operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()
    assert validate(operation, request) == []


def test_the_environment_reaches_every_request(tmp_path: Path) -> None:
    """Encryption, network and tags are not to be forgotten in one of them."""
    requests = all_requests(tmp_path, "prod")
    jobs = [step for step in OPERATIONS if "Job" in step]
    for step in [*jobs, "CreateModelPackage", "CreateEndpointConfig"]:
        assert "KmsKeyId': 'arn:aws:kms" in str(requests[step]), step
    for step in [*jobs, "CreateModel"]:
        assert "subnet-0123456789abcdef1" in str(requests[step]), step
    for step in jobs:
        assert "'EnableInterContainerTrafficEncryption': True" in str(requests[step]), step
    for step in set(OPERATIONS) - {"CreateModelPackage", "UpdateEndpoint"}:
        assert {"Key": "period", "Value": "2013-11"} in requests[step]["Tags"], step
    assert "Tags" not in requests["CreateModelPackage"]


def test_spot_is_both_or_none(tmp_path: Path) -> None:
    spot, on_demand = (all_requests(tmp_path / name, name)["CreateTrainingJob"] for name in ("test", "prod"))
    assert spot["EnableManagedSpotTraining"] is True
    assert spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
    assert "EnableManagedSpotTraining" not in on_demand
    assert on_demand["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set a member (`a.b[0].c`); `...` removes it."""
    *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]

    def apply(request: dict[str, Any]) -> None:
        target: Any = request
        for part in way:
            target = target[part]
        if value is ...:
            del target[last]
        else:
            target[last] = value

    return apply


JOB, TRAIN, PACKAGE, CONFIG, UPDATE = (OPERATIONS[index] for index in (0, 2, 4, 6, 8))
MISTAKES: list[tuple[str, str, Any, str]] = [
    (JOB, "RoleArn", ..., "CreateProcessingJob: RoleArn: is required"),
    (JOB, "RolArn", "x", "CreateProcessingJob: RolArn: is unknown; CreateProcessingJobRequest has ProcessingInputs"),
    (JOB, "RoleArn", "arn:aws:iam::1:role/x-y-z", "does not match arn:aws"),
    (JOB, "ProcessingJobName", "under_score", "ProcessingJobName: 'under_score' does not match"),
    (JOB, "ProcessingJobName", "x" * 70, "has length 70; at most 63"),
    (JOB, "StoppingCondition.MaxRuntimeInSeconds", "60", "'60' is a str; expected integer"),
    (JOB, "StoppingCondition.MaxRuntimeInSeconds", True, "True is a bool; expected integer"),
    (JOB, "StoppingCondition.MaxRuntimeInSeconds", 777_601, "is 777601; at most 777600"),
    (JOB, "StoppingCondition.MaxRuntimeInSeconds", 0, "is 0; at least 1"),
    (
        JOB,
        "ProcessingInputs[1].S3Input.LocalPath",
        "/data",
        "ProcessingInputs[1].S3Input.LocalPath: '/data' must lie under",
    ),
    (
        JOB,
        "ProcessingInputs[1].S3Input.LocalPath",
        "/opt/ml/processing/input/code",
        "ProcessingInputs LocalPath: '/opt/ml/processing/input/code' is there 2 times",
    ),
    (JOB, "ProcessingInputs[1].InputName", "code", "ProcessingInputs: 'code' is there 2 times"),
    (JOB, "ProcessingInputs[0].S3Input.S3DataType", "Prefix", "'Prefix' is not one of ManifestFile, S3Prefix"),
    (JOB, "ProcessingInputs[0].S3Input.S3Uri", "/home/me", "S3Uri: '/home/me' does not match"),
    (JOB, "ProcessingOutputConfig.Outputs[0].S3Output.LocalPath", "/opt/ml/x", "must lie under /opt/ml/processing/"),
    (JOB, "AppSpecification.ContainerArguments", [], "has length 0; at least 1"),
    (JOB, "AppSpecification.ContainerArguments", ["x" * 257], "ContainerArguments[0]: 'xxx"),
    (JOB, "Tags[0].Value", "a;b", "Tags[0].Value: 'a;b' does not match"),
    (JOB, "Tags", [{"Key": str(i), "Value": ""} for i in range(51)], "has length 51; at most 50"),
    (TRAIN, "EnableManagedSpotTraining", ..., "MaxWaitTimeInSeconds: 14400 needs EnableManagedSpotTraining"),
    (TRAIN, "StoppingCondition.MaxWaitTimeInSeconds", ..., "None must be given with EnableManagedSpotTraining"),
    (
        TRAIN,
        "StoppingCondition.MaxWaitTimeInSeconds",
        7199,
        "7199 must be given with EnableManagedSpotTraining and be at",
    ),
    (TRAIN, "HyperParameters.eta", 0.1, "HyperParameters.eta: 0.1 is a float; expected string"),
    (TRAIN, "HyperParameters.eta", "a\nb", "HyperParameters.eta: 'a\\nb' does not match .*"),
    (TRAIN, "HyperParameters.eta", "x" * 2501, "has length 2501; at most 2500"),
    (TRAIN, "AlgorithmSpecification.TrainingInputMode", "Bogus", "'Bogus' is not one of Pipe, File, FastFile"),
    (TRAIN, "ResourceConfig.InstanceType", "big", "InstanceType: 'big' is not one of"),
    (TRAIN, "InputDataConfig[1].ChannelName", "train", "InputDataConfig: 'train' is there 2 times"),
    (PACKAGE, "CustomerMetadataProperties", {}, "CustomerMetadataProperties: {} has length 0; at least 1"),
    (PACKAGE, "CustomerMetadataProperties.x", "a;b", "CustomerMetadataProperties.x: 'a;b' does not match"),
    (PACKAGE, "ClientToken", "x" * 37, "ClientToken: 'xxx"),
    (PACKAGE, "ModelApprovalStatus", "Pending", "'Pending' is not one of Approved, Rejected, PendingManualApproval"),
    (PACKAGE, "Tags", [{"Key": "a", "Value": "b"}], "Tags: a version of a group takes no tags"),
    (PACKAGE, "ModelCard.ModelCardContent", "{", "ModelCard.ModelCardContent: is not JSON: Expecting property name"),
    (PACKAGE, "ModelCard.ModelCardContent", "[]", "ModelCard.ModelCardContent: is a JSON list; expected an object"),
    (PACKAGE, "ModelCard.ModelCardContent", '{"overview": {}}', "overview: is unknown; there are model_overview, inte"),
    (
        PACKAGE,
        "ModelCard.ModelCardContent",
        '{"model_overview": {"model_name": "x"}}',
        "model_overview.model_name: is unknown; there are model_creator, model_artifact",
    ),
    (
        PACKAGE,
        "ModelCard.ModelCardContent",
        '{"evaluation_details": [{}]}',
        "evaluation_details[0].name: None is no text of 1 to 63 characters",
    ),
    (PACKAGE, "ModelLifeCycle.StageStatus", "in review", "StageStatus: 'in review' does not match"),
    (PACKAGE, "ModelMetrics.ModelQuality.Statistics.S3Uri", ..., "ModelQuality.Statistics.S3Uri: is required"),
    (PACKAGE, "ModelPackageDescription", "a\x07", "ModelPackageDescription: 'a\\x07' does not match"),
    (
        CONFIG,
        "ProductionVariants[0].ServerlessConfig",
        {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
        "or ServerlessConfig",
    ),
    (CONFIG, "DataCaptureConfig.InitialSamplingPercentage", 101, "is 101; at most 100"),
    (CONFIG, "ProductionVariants", [], "ProductionVariants: [] has length 0; at least 1"),
    (CONFIG, "ShadowProductionVariants", [{"VariantName": "a"}] * 2, "needs one variant beside one production variant"),
    (CONFIG, "ShadowProductionVariants", [{"VariantName": "a"}], "ShadowProductionVariants[0].ModelName: is required"),
    (UPDATE, "DeploymentConfig", {"BlueGreenUpdatePolicy": {}, "RollingUpdatePolicy": {}}, "or RollingUpdatePolicy"),
    (UPDATE, "ExcludeRetainedVariantProperties", [], "needs RetainAllVariantProperties"),
    ("CreateModel", "PrimaryContainer", ..., "PrimaryContainer: give PrimaryContainer or Containers"),
    ("CreateEndpoint", "EndpointConfigName", None, "EndpointConfigName: None is a NoneType; expected string"),
]


@pytest.mark.parametrize(("step", "path", "value", "message"), MISTAKES)
def test_mistakes_are_found(tmp_path: Path, step: str, path: str, value: Any, message: str) -> None:
    request = copy.deepcopy(all_requests(tmp_path, "test")[step])
    change(path, value)(request)
    with pytest.raises(RequestError) as error:
        validate(step.split(maxsplit=1)[0], request)
    assert any(message in problem for problem in error.value.problems), error.value.problems


def test_all_mistakes_are_listed() -> None:
    with pytest.raises(RequestError) as error:
        validate("CreateEndpoint", {"EndpointName": "a_b", "x": 1})
    assert len(error.value.problems) == 3


def test_an_instance_type_that_is_too_new_is_a_warning(tmp_path: Path) -> None:
    request = all_requests(tmp_path, "test")["CreateTrainingJob"]
    request["ResourceConfig"]["InstanceType"] = "ml.m99.large"
    [warning] = validate("CreateTrainingJob", request)
    assert "ResourceConfig.InstanceType: 'ml.m99.large' is not an instance type that this botocore knows" in warning


def test_an_operation_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="no operation 'CreateTrainingJobs'"):
        validate("CreateTrainingJobs", {})


@pytest.mark.parametrize("text", ["é", "日本", "²", "a\u00a0b", "naïve value=1"])
def test_letters_of_all_languages_are_tag_text(text: str) -> None:
    validate("AddTags", {"ResourceArn": PACKAGE_ARN, "Tags": [{"Key": "k", "Value": text}]})


@pytest.mark.parametrize("text", ["😀", "a\u0301", "«»", "a\tb"])
def test_other_characters_are_not(text: str) -> None:
    with pytest.raises(RequestError, match="does not match"):
        validate("AddTags", {"ResourceArn": PACKAGE_ARN, "Tags": [{"Key": "k", "Value": text}]})


def test_a_registration_is_the_same_for_a_retry_and_new_for_a_new_artefact(tmp_path: Path) -> None:
    requests = build_requests(ExampleProject(tmp_path).plan())
    first, again = (registered(requests) for _ in range(2))
    other = registered(requests, training={**TRAINING, "model_artifact": "s3://b/other"})
    assert first == again
    assert first["ClientToken"] != other["ClientToken"]


def test_a_version_says_where_it_comes_from(tmp_path: Path) -> None:
    """By one look at the version: model, run, code, data, cost, metrics, and what the gate said."""
    properties = registered(build_requests(ExampleProject(tmp_path).plan(champion=CHAMPION)))[
        "CustomerMetadataProperties"
    ]
    assert properties == {
        "model": "demo_model",
        "period": "2013-11",
        "environment": "test",
        "dag_id": "demo_model_retraining",
        "run_id": "scheduled__2013-12-01T06:00:00+00:00",
        "git_sha": "0123456789abcdef0123456789abcdef01234567",
        "plan_uri": properties["plan_uri"],
        "code_sha256": "c0de" * 16,
        "champion": CHAMPION.arn,
        "training_job": "demo-model-train-201311-00000000-g1",
        "training_seconds": "100",
        "billable_seconds": "30",
        "savings_pct": "70.0",
        "data_fingerprint": "ab" * 32,
        "data_months": "2013-01..2013-11",
        "gate": "passed: all thresholds met- auc +0.0100 --0.0020 to 0.0220-",
        "report_uri": "s3://demo-bucket/demo_model/runs/2013-11/x/report-g1/report.html",
        "metric.accuracy": "0.8",
        "metric.auc": "0.75",
    }


def test_a_refused_model_is_registered_as_rejected(tmp_path: Path) -> None:
    requests = build_requests(ExampleProject(tmp_path).plan())
    refused = registered(requests, gate={**GATE, "passed": False, "reason": "auc 0.5000 misses its minimum"})
    assert refused["ModelApprovalStatus"] == "Rejected"
    assert refused["ModelLifeCycle"] == {"Stage": "test", "StageStatus": "Rejected"}
    assert refused["ModelCard"]["ModelCardStatus"] == "Draft"
    assert refused["CustomerMetadataProperties"]["gate"] == "refused: auc 0.5000 misses its minimum"
    assert validate("CreateModelPackage", refused) == []
    assert registered(requests)["ModelApprovalStatus"] == "PendingManualApproval"
    assert registered(requests)["ModelLifeCycle"]["StageStatus"] == "PendingApproval"


def test_a_refusal_says_why_and_begins_the_history() -> None:
    request = refusal_request(PACKAGE_ARN, "auc 0.5000 misses its minimum; " + "x" * 2000, "2013-12-01T07:00:00+00:00")
    assert validate("UpdateModelPackage", request) == []
    assert request["ApprovalDescription"].startswith("quality gate: auc 0.5000 misses its minimum; xxx")
    properties = request["CustomerMetadataProperties"]
    assert properties["transition.01"].startswith(
        "2013-12-01T07:00:00+00:00 New-Rejected by quality gate from quality gate: auc 0.5000 misses"
    )
    assert (properties["decided_by"], properties["decided_from"]) == ("quality gate", "quality gate")


def test_metrics_that_are_no_numbers_stay_out(tmp_path: Path) -> None:
    gate = {**GATE, "challenger": {"auc": float("nan"), "f1": None, "acc": 1.0}, "champion": None}
    complete = registered(build_requests(ExampleProject(tmp_path).plan()), gate=gate)
    assert [key for key in complete["CustomerMetadataProperties"] if key.startswith("metric.")] == ["metric.acc"]
    [details] = card(complete)["evaluation_details"]
    assert [metric["name"] for group in details["metric_groups"] for metric in group["metric_data"]] == ["acc"]


def test_a_champion_whose_artefact_is_gone_is_no_input(tmp_path: Path) -> None:
    """SageMaker would fail the job; the gate is told instead."""
    requests = build_requests(ExampleProject(tmp_path).plan(champion=Champion(CHAMPION.arn, None, 7)))
    assert [entry["InputName"] for entry in requests["evaluate"]["ProcessingInputs"]] == ["code", "test", "model"]
    assert requests["quality_gate"]["champion"] == CHAMPION.arn
    assert requests["quality_gate"]["champion_error"] == "its model.tar.gz is gone"
    assert requests["evaluate"]["Environment"]["CHAMPION_ERROR"] == "its model.tar.gz is gone"


def test_the_deciding_metric_is_there_and_the_history_has_room(tmp_path: Path) -> None:
    """50 entries: facts and metrics, the decision with its history, a promotion, where the version served."""
    gate = {**GATE, "metric": "zz", "challenger": {**{f"m{n:02}": 0.5 for n in range(40)}, "zz": 0.9}}
    plan = ExampleProject(tmp_path).plan(champion=CHAMPION)
    properties = registered(build_requests(plan), gate=gate)["CustomerMetadataProperties"]
    assert properties["metric.zz"] == "0.9"
    decision, promotion = 3 + MOST_CHANGES, 3
    assert len(properties) + decision + promotion + MOST_LINES <= 50


def test_only_what_is_there_is_registered(tmp_path: Path) -> None:
    requests = build_requests(ExampleProject(tmp_path).plan())
    source = {STATISTICS: RESULTS.evaluation_uri}
    request = complete_package(requests["register"]["package"], RESULTS, source)
    blocks = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": RESULTS.evaluation_uri}}}
    assert request["ModelMetrics"] == request["DriftCheckBaselines"] == blocks


def card(package: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(package["ModelCard"]["ModelCardContent"])
    return content


def test_the_model_card_is_what_a_reviewer_asks_for(tmp_path: Path) -> None:
    content = card(registered(build_requests(ExampleProject(tmp_path).plan("prod"))))
    assert set(content["model_overview"]) == {"model_creator", "model_artifact"}, "all a version's card has"
    job = content["training_details"]["training_job_details"]
    assert job["training_arn"] == TRAINING["arn"]
    assert job["training_metrics"] == [{"name": "validation:auc", "value": 0.71}]
    assert {"name": "eta", "value": "0.1"} in job["hyper_parameters"]
    [details] = content["evaluation_details"]
    assert details["evaluation_observation"] == GATE["reason"]
    assert details["metric_groups"] == [
        {
            "name": model,
            "metric_data": [
                {"name": "accuracy", "value": accuracy, "type": "number"},
                {"name": "auc", "value": auc, "type": "number"},
            ],
        }
        for model, accuracy, auc in (("challenger", 0.8, 0.75), ("champion", 0.81, 0.74))
    ]


def test_whose_group_it_is() -> None:
    ours = [{"Key": "project", "Value": "demo"}, {"Key": "model", "Value": "a"}, {"Key": "period", "Value": "2013-11"}]
    assert foreign_tags(ours, [*ours[:2], {"Key": "period", "Value": "2013-10"}]) == []
    assert foreign_tags(ours, []) == []
    assert foreign_tags(ours, [ours[0], {"Key": "model", "Value": "b"}]) == ["its tag model is 'b', ours is 'a'"]


def test_why_a_package_is_not_usable() -> None:
    finding = {"Name": "profile-1", "Status": "Failed", "FailureReason": "no answer to /ping"}
    passed = {"Name": "image", "Status": "Completed"}
    details = {"ValidationStatuses": [finding], "ImageScanStatuses": [passed]}
    assert validation_failures({"ModelPackageStatusDetails": details}) == "profile-1 Failed: no answer to /ping"
    assert validation_failures({}) == "SageMaker gives no reason"


def test_deployment_names_follow_content(tmp_path: Path) -> None:
    project = ExampleProject(tmp_path)
    deploy = build_requests(project.plan())["deploy"]
    first = deployment_requests(deploy, PACKAGE_ARN)
    another_run = deployment_requests(build_requests(project.plan(run_id="manual__1"))["deploy"], PACKAGE_ARN)
    another_version = deployment_requests(deploy, PACKAGE_ARN.replace("/8", "/9"))
    names = [
        (r["CreateModel"]["ModelName"], r["CreateEndpointConfig"]["EndpointConfigName"])
        for r in (first, another_run, another_version)
    ]
    assert names[0] == names[1]
    assert names[0][0] != names[2][0]
    assert names[0][1] != names[2][1]
    assert all(re.fullmatch(r"demo-model-test-[0-9a-f]{10}", name) for pair in names for name in pair)
    assert first["CreateEndpoint"]["EndpointConfigName"] == names[0][1]
    assert "PrimaryContainer" not in deploy["model"], "the plan itself is not changed"
