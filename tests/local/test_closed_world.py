"""Describe's answers member by member: what real answers had, and nothing else.

The lists are those of real answers that public repositories keep; only names of members are taken from them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.local.job_kit import Jobs

TRAINING = """
TrainingJobName TrainingJobArn ModelArtifacts TrainingJobStatus SecondaryStatus HyperParameters AlgorithmSpecification
RoleArn InputDataConfig OutputDataConfig ResourceConfig StoppingCondition CreationTime TrainingStartTime TrainingEndTime
LastModifiedTime SecondaryStatusTransitions EnableNetworkIsolation EnableInterContainerTrafficEncryption
EnableManagedSpotTraining TrainingTimeInSeconds BillableTimeInSeconds ProfilingStatus Environment RetryStrategy
"""
"""Of a completed job on demand, on an image of one's own, without channels and metrics; a checker of 2026 that refuses
any other member (public-code index 61277752869)."""
PROCESSING = """
ProcessingInputs ProcessingOutputConfig ProcessingJobName ProcessingResources StoppingCondition AppSpecification RoleArn
ProcessingJobArn ProcessingJobStatus ProcessingEndTime ProcessingStartTime LastModifiedTime CreationTime
"""
"""Of a completed job of the SageMaker SDK (public-code index 34157058760)."""
INPUT = "S3Uri LocalPath S3DataType S3InputMode S3DataDistributionType S3CompressionType"
OUTPUT = "S3Uri LocalPath S3UploadMode"


@pytest.fixture(scope="module")
def jobs(sagemaker_local: LocalSageMaker) -> Jobs:
    return Jobs(sagemaker_local)


def members(answer: dict[str, Any]) -> set[str]:
    """The members of an answer, without what boto3 adds."""
    return set(answer) - {"ResponseMetadata"}


@pytest.mark.aws_fact("describe-training-echo")
def test_a_training_job(jobs: Jobs) -> None:
    request = jobs.training_request(
        "closed-training",
        "print(1)",
        Environment={"A": "b"},
        RetryStrategy={"MaximumRetryAttempts": 1},
        EnableNetworkIsolation=False,
    )
    request["AlgorithmSpecification"]["TrainingImage"] = "123456789012.dkr.ecr.us-east-1.amazonaws.com/own:1"
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("closed-training")
    assert members(job) == set(TRAINING.split())
    assert set(job["AlgorithmSpecification"]) == {
        "TrainingImage",
        "TrainingInputMode",
        "EnableSageMakerMetricsTimeSeries",
    }
    assert set(job["OutputDataConfig"]) == {"KmsKeyId", "S3OutputPath", "CompressionType"}
    assert set(job["SecondaryStatusTransitions"][0]) == {"Status", "StartTime", "EndTime", "StatusMessage"}


@pytest.mark.aws_fact("processing-describe-defaults")
def test_a_processing_job(jobs: Jobs) -> None:
    request = jobs.processing_request("closed-processing", "print(1)")
    request["ProcessingInputs"][0]["S3Input"]["S3CompressionType"] = "None"
    jobs.sagemaker.create_processing_job(**request)
    job = jobs.end_of_processing("closed-processing")
    assert members(job) == set(PROCESSING.split())
    [item] = job["ProcessingInputs"]
    assert (set(item), set(item["S3Input"])) == ({"InputName", "AppManaged", "S3Input"}, set(INPUT.split()))
    assert set(job["ProcessingOutputConfig"]) == {"Outputs"}
    [output] = job["ProcessingOutputConfig"]["Outputs"]
    assert (set(output), set(output["S3Output"])) == ({"OutputName", "AppManaged", "S3Output"}, set(OUTPUT.split()))
