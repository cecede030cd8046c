"""`make run` as a user has it: real Airflow processes, the local SageMaker, real jobs; once approved, once rejected."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.kits.laptop_kit import Laptop

MODEL, PERIOD = "flight_delay", "2013-02"
TASKS = [
    "plan",
    "data_ready",
    "preprocess",
    "train",
    "evaluate",
    "quality_gate",
    "register",
    "approval",
    "deploy",
    "verify",
    "cleanup",
]
WAIT_SECONDS = 400


@pytest.fixture(scope="module")
def approved(laptop: Laptop) -> dict[str, Any]:
    """The first run, the reviewer played by the driver."""
    driver = laptop.start("include.laptop.run", MODEL, PERIOD, "auto")
    output, _ = driver.communicate(timeout=WAIT_SECONDS)
    assert driver.returncode == 0, output
    return {**laptop.read("last-run.json"), "output": output}


@pytest.fixture(scope="module")
def rejected(laptop: Laptop, approved: dict[str, Any]) -> dict[str, Any]:
    """A second run for the same month, rejected by a person with plain boto3."""
    driver = laptop.start("include.laptop.run", MODEL, PERIOD, "manual")
    deadline = time.monotonic() + WAIT_SECONDS
    while not (pending := laptop.versions("PendingManualApproval")):
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, "no version is waiting for a decision"
        time.sleep(0.5)
    laptop.client("sagemaker").update_model_package(
        ModelPackageArn=pending[0], ModelApprovalStatus="Rejected", ApprovalDescription="not this month"
    )
    output, _ = driver.communicate(timeout=WAIT_SECONDS)
    return {**laptop.read("last-run.json"), "output": output, "status": driver.returncode}


def test_every_task_succeeds_at_the_first_try(approved: dict[str, Any]) -> None:
    assert approved["state"] == "success"
    tasks = {name: (task["state"], task["tries"]) for name, task in approved["tasks"].items()}
    assert tasks.pop("review")[0] == "skipped"  # make run was first and closed it
    assert tasks == dict.fromkeys(TASKS, ("success", 1))


def test_training_was_interrupted_once_and_resumed(approved: dict[str, Any]) -> None:
    train = next(job for job in approved["jobs"] if job["step"] == "train")
    assert train["interruptions"] == 1
    assert train["billable_seconds"] < train["training_seconds"]
    assert train["savings_pct"] > 0
    assert [job["instance_count"] for job in approved["jobs"]] == [1, 1, 1]
    assert "Resuming from checkpoint at round" in approved["resumed"]
    assert "at round 0 " not in approved["resumed"]


def test_the_version_was_approved_with_name_and_reason(laptop: Laptop, approved: dict[str, Any]) -> None:
    assert approved["approval"]["status"] == "Approved"
    assert approved["approval"]["by"]
    assert approved["approval"]["reason"]
    package = laptop.client("sagemaker").describe_model_package(ModelPackageName=approved["model_package_arn"])
    assert package["ModelApprovalStatus"] == "Approved"
    metadata = package["CustomerMetadataProperties"]
    assert metadata["period"] == PERIOD
    assert metadata["run_id"].startswith("make_run")
    assert float(metadata["metric.auc"]) == pytest.approx(approved["metrics"]["challenger"]["auc"])


def test_the_endpoint_serves_what_was_evaluated(laptop: Laptop, approved: dict[str, Any]) -> None:
    assert approved["endpoint"]["status"] == "InService"
    endpoint = laptop.client("sagemaker").describe_endpoint(EndpointName=approved["endpoint"]["name"])
    assert endpoint["EndpointConfigName"] == approved["endpoint"]["config"]
    assert endpoint["DataCaptureConfig"]["CurrentSamplingPercentage"] == 20
    assert approved["endpoint"]["capture_objects"] >= 1
    assert approved["prediction"]["online"] == pytest.approx(approved["prediction"]["offline"], abs=1e-6)


def test_the_report_is_one_file(approved: dict[str, Any]) -> None:
    report = Path(approved["report"]).read_text()
    assert "data:image/png;base64," in report
    assert 'src="http' not in report


def test_the_first_version_has_no_champion(approved: dict[str, Any]) -> None:
    assert approved["metrics"]["champion"] is None
    assert approved["metrics"]["challenger"]["auc"] > 0.6


def test_a_second_run_of_the_month_meets_the_first_as_champion(
    laptop: Laptop, approved: dict[str, Any], rejected: dict[str, Any]
) -> None:
    assert rejected["run_id"] != approved["run_id"]
    assert rejected["metrics"]["champion"] == pytest.approx(approved["metrics"]["challenger"])
    jobs = laptop.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert len(jobs) == 2


def test_a_rejected_version_is_not_deployed(laptop: Laptop, approved: dict[str, Any], rejected: dict[str, Any]) -> None:
    assert rejected["status"] == 1
    assert "not this month" in rejected["output"]
    assert rejected["tasks"]["deploy"]["state"] == "skipped"
    assert rejected["tasks"]["cleanup"]["state"] == "skipped"
    assert rejected["state"] == "success"
    endpoint = laptop.client("sagemaker").describe_endpoint(EndpointName=approved["endpoint"]["name"])
    assert endpoint["EndpointConfigName"] == approved["endpoint"]["config"]
