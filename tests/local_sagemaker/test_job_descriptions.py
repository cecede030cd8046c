"""What Describe says of a job beyond its request: AWS's own defaults, which the SageMaker SDK reads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.job_kit import Jobs
from tests.kits.transform_kit import Transforms


@pytest.mark.aws_fact("describe-training-defaults")
def test_a_training_job(jobs: Jobs) -> None:
    job = jobs.train("described-training", "", **jobs.plain_container("described-training", ""))
    assert job["OutputDataConfig"]["KmsKeyId"] == ""  # SKLearn.attach reads it
    assert job["OutputDataConfig"]["CompressionType"] == "GZIP"
    assert job["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] is False
    assert job["ProfilingStatus"] == "Disabled"
    flags = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
    assert not any(job[name] for name in flags)
    assert {name: job["InputDataConfig"][0][name] for name in ("CompressionType", "RecordWrapperType")} == {
        "CompressionType": "None",
        "RecordWrapperType": "None",
    }


@pytest.mark.aws_fact("describe-training-defaults")
def test_a_training_job_without_channels(jobs: Jobs) -> None:
    assert jobs.train("described-bare", "print(1)")["InputDataConfig"] == []


def test_what_a_request_says_stays(jobs: Jobs) -> None:
    request: dict[str, Any] = jobs.training_request("described-said", "print(1)")
    request["OutputDataConfig"] |= {"KmsKeyId": "alias/x", "CompressionType": "NONE"}
    jobs.sagemaker.create_training_job(**request)
    assert jobs.end_of_training("described-said")["OutputDataConfig"] == request["OutputDataConfig"]


@pytest.mark.aws_fact("processing-describe-defaults")
@pytest.mark.aws_fact("processing-fully-replicated")
def test_a_processing_job(jobs: Jobs) -> None:
    job = jobs.process("described-processing", "print(1)")
    assert [item["AppManaged"] for item in job["ProcessingInputs"]] == [False]
    assert [item["AppManaged"] for item in job["ProcessingOutputConfig"]["Outputs"]] == [False]
    assert job["ProcessingInputs"][0]["S3Input"]["S3DataDistributionType"] == "FullyReplicated"
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert "NetworkConfig" not in job
    assert "Environment" not in job


@pytest.mark.aws_fact("transform-describe-defaults")
def test_a_transform_job(sagemaker_local: LocalSageMaker) -> None:
    job = Transforms(sagemaker_local).transform("described-transform", {"a.csv": "1,2"})
    assert "Environment" not in job, "AWS adds none: two recorded answers have none, one has the {} that was sent"
    assert job["TransformOutput"]["KmsKeyId"] == ""
    assert job["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert job["TransformInput"]["CompressionType"] == "None"
