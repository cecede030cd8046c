"""Where the buttons of a task lead: the pages of AWS's console, and those of the local SageMaker."""

from __future__ import annotations

import json

import pytest

from sagemaker_retraining.hooks import PROCESSING, TRAINING, JobKind, RetrainingHook
from sagemaker_retraining.links import JobLink, JobLogLink, job_addresses, report_address, version_address


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a region: that comes from the operator or from the machine."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "login": "x", "password": "y"}))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def addresses(kind: JobKind, job: str, region: str | None) -> tuple[str, ...]:
    """Of the job and of its log."""
    found = job_addresses(RetrainingHook(aws_conn_id="aws_default", region_name=region), kind, job)
    return tuple(found[link.xcom_key] for link in (JobLink(), JobLogLink()))


def test_of_a_training_job_on_aws() -> None:
    page, log = addresses(TRAINING, "churn-train-202402-1a2b3c4d-g1", "eu-west-1")
    console = "https://eu-west-1.console.aws.amazon.com"
    assert page == f"{console}/sagemaker/home?region=eu-west-1#/jobs/churn-train-202402-1a2b3c4d-g1"
    assert log == (
        f"{console}/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/"
        "$252Faws$252Fsagemaker$252FTrainingJobs$3FlogStreamNameFilter$3Dchurn-train-202402-1a2b3c4d-g1$252F"
    )


def test_of_a_processing_job_on_aws() -> None:
    page, log = addresses(PROCESSING, "churn-evaluate", "us-east-1")
    assert page.endswith("/sagemaker/home?region=us-east-1#/processing-jobs/churn-evaluate")
    assert "$252Faws$252Fsagemaker$252FProcessingJobs$3FlogStreamNameFilter$3Dchurn-evaluate$252F" in log


def test_the_region_may_be_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    for address in addresses(TRAINING, "job", None):
        assert address.startswith("https://eu-north-1.console.aws.amazon.com/")
        assert "?region=eu-north-1#" in address


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/"),
    ],
)
def test_china_and_govcloud_have_consoles_of_their_own(region: str, console: str) -> None:
    assert all(address.startswith(console) for address in addresses(TRAINING, "job", region))
    hook = RetrainingHook(aws_conn_id="aws_default", region_name=region)
    assert report_address(hook, "s3://bucket/a b/report.html") == (
        f"{console}s3/object/bucket?region={region}&prefix=a%20b/report.html"
    )
    assert version_address(hook, "arn:aws:sagemaker:x:1:model-package/g/1").startswith(console)


def test_of_the_local_sagemaker(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "aws", "extra": {"endpoint_url": "http://127.0.0.1:5005"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    page = "http://127.0.0.1:5005/_local/jobs/training/job"
    assert addresses(TRAINING, "job", "us-east-1") == (page, f"{page}#log")
