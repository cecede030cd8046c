"""Inputs that S3 holds and no folder can: the job fails with a reason that names the key, never with our own error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kits.job_kit import Jobs


def reason(jobs: Jobs, name: str, url: str, data_type: str = "S3Prefix", **more: str) -> str:
    """Why a processing job with this input fails."""
    request = jobs.processing_request(name, "print('never')")
    request["ProcessingInputs"] += [jobs.input("data", url, data_type, **more)]
    jobs.sagemaker.create_processing_job(**request)
    job = jobs.end_of_processing(name)
    assert job["ProcessingJobStatus"] == "Failed"
    assert jobs.log_streams("Processing", name) == []
    text: str = job["FailureReason"]
    return text


@pytest.mark.parametrize(
    ("name", "keys", "what"),
    [
        (
            "odd-folder",
            ["a", "a/b"],
            "'odd-folder/in/a/b' cannot become a file: another key of the input needs the sam",
        ),
        ("odd-nul", ["x\0y"], r"'odd-nul/in/x\x00y' cannot become a file: embedded null byte"),
        ("odd-out", ["../../x"], "'odd-out/in/../../x' cannot become a file: it leads out of its folder"),
        ("odd-long", ["n" * 300], "cannot become a file: [Errno 36] File name too long"),
    ],
)
def test_keys_that_no_folder_can_hold(jobs: Jobs, name: str, keys: list[str], what: str) -> None:
    for key in keys:
        jobs.put(f"{name}/in/{key}", "1")
    found = reason(jobs, name, f"s3://{jobs.server.bucket}/{name}/in/")
    assert found.startswith("ClientError: Data download failed:The S3 key ")
    assert what in found


@pytest.mark.parametrize(
    ("name", "manifest", "what"),
    [
        ("odd-prefix", [{"prefix": 1}], "is not of the form"),
        ("odd-entry", [{"prefix": "s3://test-bucket/"}, 5], "5 is not a text"),
        ("odd-head", 7, "is not of the form"),
        ("odd-bucket", [{"prefix": "s3://no bucket/"}, "a"], "s3://no bucket/a"),
        ("odd-half", [{"prefix": "s3://test-bucket/"}, "\ud800"], "cannot become a file"),
    ],
)
def test_manifests_that_are_none(jobs: Jobs, name: str, manifest: Any, what: str) -> None:
    found = reason(jobs, name, jobs.put(f"{name}/manifest", json.dumps(manifest)), "ManifestFile")
    assert found.startswith("ClientError: ")
    assert what in found


def test_gzip_that_is_none(jobs: Jobs) -> None:
    url = jobs.put("odd-gzip/in/a.gz", "plain")
    assert f"{url} is not valid gzip" in reason(jobs, "odd-gzip", url, S3CompressionType="Gzip")


def test_a_training_channel_has_the_same_reasons(jobs: Jobs) -> None:
    request = jobs.training_request("odd-channel", "")
    for key in ("a", "a/b"):
        jobs.put(f"odd-channel/in/{key}", "1")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.server.bucket}/odd-channel/in/"}
    request["InputDataConfig"] = [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}]
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("odd-channel")
    assert job["FailureReason"].startswith("ClientError: Data download failed:The S3 key 'odd-channel/in/a/b' cannot")


def test_a_bucket_that_cannot_be_one_is_refused(jobs: Jobs) -> None:
    request = jobs.training_request("odd-output", "")
    request["OutputDataConfig"]["S3OutputPath"] = "s3://no bucket/x"
    with pytest.raises(jobs.sagemaker.exceptions.ClientError, match="Could not access the S3 bucket no bucket"):
        jobs.sagemaker.create_training_job(**request)
