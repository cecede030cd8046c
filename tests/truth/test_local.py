"""Facts that the local SageMaker shares with AWS, and that no other test checks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.job_kit import Jobs
from tests.kits.refusals import refused

ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture(scope="module")
def jobs(sagemaker_local: LocalSageMaker) -> Jobs:
    return Jobs(sagemaker_local)


@pytest.mark.aws_fact("describe-training-echo")
@pytest.mark.aws_fact("describe-checkpoint-config")
@pytest.mark.aws_fact("arn-case")
def test_describe_returns_the_request_as_it_was(jobs: Jobs) -> None:
    name = "Truth-Echo"
    request = jobs.training_request(name, "", **jobs.plain_container(name, ""))
    request |= {
        "HyperParameters": {"alpha": "1"},
        "Environment": {"COLOUR": "blue"},
        "RetryStrategy": {"MaximumRetryAttempts": 1},
        "CheckpointConfig": {"S3Uri": f"s3://{jobs.server.bucket}/{name}/checkpoints"},
    }
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training(name)
    assert contains(job, request), job
    assert job["TrainingJobArn"] == f"{ACCOUNT}:training-job/{name}"
    assert job["CheckpointConfig"] == request["CheckpointConfig"]


def contains(found: Any, asked: Any) -> bool:
    """Whether everything asked for is there, unchanged."""
    if isinstance(asked, dict):
        return all(name in found and contains(found[name], value) for name, value in asked.items())
    if isinstance(asked, list):
        return len(found) == len(asked) and all(map(contains, found, asked))
    return bool(found == asked)


@pytest.mark.aws_fact("training-metric-definitions-other-images")
def test_other_images_take_metric_definitions(jobs: Jobs) -> None:
    name = "truth-metrics"
    container = jobs.plain_container(name, "print('loss: 0.25')")
    container["AlgorithmSpecification"] |= {
        "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2",
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss: ([0-9.]+)"}],
    }
    job = jobs.train(name, "", **container)
    assert [(metric["MetricName"], metric["Value"]) for metric in job["FinalMetricDataList"]] == [("loss", 0.25)]


@pytest.mark.aws_fact("describe-max-wait-while-training")
def test_max_wait_over_while_training(jobs: Jobs) -> None:
    name = "truth-max-wait"
    script = "import time; open('/opt/ml/model/m', 'w').write('m'); time.sleep(600)"
    job = jobs.train(name, "", **jobs.spot(name, longest=2), **jobs.plain_container(name, script))
    transitions = [(step["Status"], step["StatusMessage"]) for step in job["SecondaryStatusTransitions"]]
    text = "Training job wait time exceeded MaxWaitTimeInSeconds provided"
    assert [status for status, _ in transitions[-3:]] == ["Stopping", "Uploading", "MaxWaitTimeExceeded"]
    assert transitions[-1][1] == text
    assert (job["TrainingJobStatus"], "FailureReason" in job) == ("Stopped", False)
    assert jobs.keys(f"{name}/model/{name}/output/") == ["model.tar.gz"]


@pytest.mark.aws_fact("describe-missing")
def test_jobs_that_are_not_there(jobs: Jobs) -> None:
    missing = ("ValidationException", "Could not find requested job with name: truth-nobody")
    api = jobs.sagemaker
    assert refused(api.describe_processing_job, ProcessingJobName="truth-nobody") == missing
    assert refused(api.describe_transform_job, TransformJobName="truth-nobody") == missing
    assert refused(api.describe_training_job, TrainingJobName="truth-nobody") == (
        "ValidationException",
        "Requested resource not found.",
    )


@pytest.mark.aws_fact("config-instance-type")
def test_an_instance_type_that_is_none(jobs: Jobs) -> None:
    variant = {"VariantName": "a", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m7g.large"}
    code, text = refused(
        jobs.sagemaker.create_endpoint_config, EndpointConfigName="truth-type", ProductionVariants=[variant]
    )
    assert code == "ValidationException"
    assert "instanceType' failed to satisfy constraint: Member must satisfy enum value set" in text


@pytest.mark.aws_fact("registry-validation-statuses")
def test_a_version_without_a_validation(jobs: Jobs) -> None:
    jobs.sagemaker.create_model_package_group(ModelPackageGroupName="truth-group")
    arn = jobs.sagemaker.create_model_package(ModelPackageGroupName="truth-group")["ModelPackageArn"]
    found = jobs.sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["ModelPackageStatus"] == "Completed"
    assert found["ModelPackageStatusDetails"]["ValidationStatuses"] == []
