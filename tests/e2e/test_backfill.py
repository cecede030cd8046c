"""`make backfill` as a user has it: Airflow's own backfill on a stack that is up, with real jobs."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from include.laptop.stack.airflow_api import AirflowApi
from tests.kits.laptop_kit import Laptop

pytestmark = pytest.mark.slow

DAG_ID, GROUP = "flight_delay_retraining", "flight-delay"
MONTHS = ["2013-02", "2013-03"]
WAIT_SECONDS = 400


@pytest.fixture(scope="module")
def airflow(laptop: Laptop) -> Iterator[AirflowApi]:
    with contextlib.closing(AirflowApi(laptop.airflow_url, "admin", "admin")) as api:
        yield api


def start(laptop: Laptop, first: str, last: str) -> subprocess.Popen[str]:
    return laptop.start("include.laptop.backfill", "flight_delay", first, last)


@pytest.fixture(scope="module")
def output(laptop: Laptop) -> str:
    """What the first backfill of the two months printed."""
    driver = start(laptop, *MONTHS)
    printed, _ = driver.communicate(timeout=WAIT_SECONDS)
    assert driver.returncode == 0, printed
    return printed


@pytest.fixture(scope="module")
def months(laptop: Laptop, output: str) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = laptop.read("backfill.json")
    return written


def runs(airflow: AirflowApi) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = airflow.get(f"dags/{DAG_ID}/dagRuns", run_type="backfill")["dag_runs"]
    return found


def test_airflow_made_the_runs_and_all_have_ended(airflow: AirflowApi, months: list[dict[str, Any]]) -> None:
    assert [month["period"] for month in months] == MONTHS
    assert sorted(month["run_id"] for month in months) == sorted(run["dag_run_id"] for run in runs(airflow))
    assert {run["state"] for run in runs(airflow)} == {"success"}
    deadline = time.monotonic() + WAIT_SECONDS
    while airflow.active_backfills(DAG_ID):  # the scheduler looks every half minute
        assert time.monotonic() < deadline, "the scheduler does not see that the backfill is over"
        time.sleep(0.5)


def test_each_month_is_a_version_that_says_which(laptop: Laptop, months: list[dict[str, Any]]) -> None:
    for month in months:
        version = laptop.client("sagemaker").describe_model_package(ModelPackageName=month["model_package_arn"])
        facts = version["CustomerMetadataProperties"]
        assert (facts["period"], facts["data_months"]) == (month["period"], f"2013-01..{month['period']}")
        assert float(facts["metric.auc"]) == pytest.approx(month["metrics"]["challenger"]["auc"])
        assert month["run_id"].replace("+", "-") == facts["run_id"].replace("+", "-")
        assert month["gate"]["passed"]
        assert month["metrics"]["champion"] is None


def test_nobody_is_asked_and_nothing_is_deployed(
    laptop: Laptop, airflow: AirflowApi, months: list[dict[str, Any]]
) -> None:
    assert laptop.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert len(laptop.versions("PendingManualApproval")) == len(MONTHS)
    for month in months:
        assert not month["deployed"]
        assert month["approval"]["status"] == "PendingManualApproval"
        assert airflow.tasks(DAG_ID, month["run_id"])["approval"].state == "skipped"


def test_the_metric_is_told_by_month(output: str, months: list[dict[str, Any]]) -> None:
    for month in months:
        version = month["model_package_arn"].rsplit("/", 1)[-1]
        row = rf"^{month['period']} +{month['metrics']['challenger']['auc']:.4f} +- +\d+  {GROUP}/{version} +passed: "
        assert re.search(row, output, re.MULTILINE), output


def test_again_keeps_what_there_is(laptop: Laptop, months: list[dict[str, Any]]) -> None:
    driver = start(laptop, *MONTHS)
    printed, _ = driver.communicate(timeout=WAIT_SECONDS)
    assert driver.returncode == 0, printed
    assert "Kept, because they succeeded before: 2013-02, 2013-03." in printed
    assert laptop.read("backfill.json") == months
    assert len(laptop.versions("PendingManualApproval")) == len(MONTHS)


def test_a_month_without_data_starts_nothing(laptop: Laptop, airflow: AirflowApi, output: str) -> None:
    before = len(runs(airflow))
    driver = start(laptop, "2013-12", "2014-01")
    printed, _ = driver.communicate(timeout=WAIT_SECONDS)
    assert driver.returncode == 2
    assert "FROM=2013-12 TO=2014-01 cannot be retrained here (2014-01)" in printed
    assert len(runs(airflow)) == before


def test_interrupted_it_leaves_nothing_running(laptop: Laptop, airflow: AirflowApi, output: str) -> None:
    driver = start(laptop, "2013-04", "2013-06")
    deadline = time.monotonic() + WAIT_SECONDS
    while not laptop.client("sagemaker").list_processing_jobs(StatusEquals="InProgress")["ProcessingJobSummaries"]:
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, "no job of the backfill has started"
        time.sleep(0.2)
    driver.send_signal(signal.SIGINT)
    printed, _ = driver.communicate(timeout=WAIT_SECONDS)
    assert driver.returncode == 130, printed
    assert airflow.active_backfills(DAG_ID) == []
    assert {run["state"] for run in runs(airflow)} == {"success", "failed"}
    sagemaker = laptop.client("sagemaker")
    for status in ("InProgress", "Stopping"):
        assert sagemaker.list_processing_jobs(StatusEquals=status)["ProcessingJobSummaries"] == []
        assert sagemaker.list_training_jobs(StatusEquals=status)["TrainingJobSummaries"] == []
