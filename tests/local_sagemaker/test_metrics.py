"""Metrics from log lines, also with a regular expression that would never come to an end."""

from __future__ import annotations

import threading
import time

import pytest

from include.sagemaker_local.jobs.metrics import MetricSearch
from tests.conftest import LocalSageMaker
from tests.kits.job_kit import OWN_IMAGE, Jobs

ENDLESS = "(a+)+$"
VICTIM = "a" * 40 + "b"


def test_the_last_match_counts() -> None:
    metrics = MetricSearch([{"Name": "auc", "Regex": r"auc:(\S+)"}, {"Name": "none", "Regex": "auc"}])
    for line in ("auc:0.5", "auc:0.7 äöü", "auc:high", ""):
        metrics.read(line)
    [found], slow = metrics.search()
    assert (found["MetricName"], found["Value"], slow) == ("auc", pytest.approx(0.7), [])
    assert found["Timestamp"] == pytest.approx(time.time(), abs=60)
    assert MetricSearch([]).search() == ([], [])


def test_an_endless_expression_is_given_up_and_the_others_are_found() -> None:
    metrics = MetricSearch([{"Name": "endless", "Regex": ENDLESS}, {"Name": "auc", "Regex": r"auc:(\S+)"}])
    metrics.read(VICTIM)
    metrics.read("auc:0.5")
    final, slow = metrics.search()
    assert ([item["MetricName"] for item in final], slow) == (["auc"], ["endless"])


def test_the_server_answers_while_an_expression_is_searched(sagemaker_local: LocalSageMaker) -> None:
    jobs = Jobs(sagemaker_local)
    request = jobs.training_request("endless-metric", "")
    request |= jobs.plain_container("endless-metric", f"print('{VICTIM}'); print('auc:0.5')")
    request["AlgorithmSpecification"]["TrainingImage"] = OWN_IMAGE
    request["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "endless", "Regex": ENDLESS},
        {"Name": "auc", "Regex": "auc:(.*)"},
    ]
    slowest, done = [0.0], threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            started = time.perf_counter()
            sagemaker_local.health()
            slowest[0] = max(slowest[0], time.perf_counter() - started)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        jobs.sagemaker.create_training_job(**request)
        job = jobs.end_of_training("endless-metric")
    finally:
        done.set()
        asking.join()
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [item["MetricName"] for item in job["FinalMetricDataList"]] == ["auc"]
    [lines] = jobs.log_streams("Training", "endless-metric")
    assert lines[-1].startswith("[local SageMaker] Metric endless is lost: its regular expression took more than 0.5 s")
    assert slowest[0] < 2, f"the server needed {slowest[0]:.1f} s for an answer"
