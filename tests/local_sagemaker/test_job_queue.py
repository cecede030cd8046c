"""As many jobs run at once as the machine has places; the others are Pending, and every other way out works there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from include.sagemaker_local.jobs.execution import cpus
from include.sagemaker_local.jobs.queue import JobQueue
from include.sagemaker_local.jobs.record import RESTARTED
from include.sagemaker_local.jobs.runner import LEAST_RUNNING
from tests.kits.job_kit import Jobs, eventually

AT_ONCE = max(LEAST_RUNNING, cpus())
UNTIL_TOLD = """
import os, time, boto3
s3 = boto3.client("s3")
while s3.list_objects_v2(Bucket="test-bucket", Prefix="go/")["KeyCount"] == 0:
    time.sleep(0.2)
"""


@pytest.fixture
def jobs(make_sagemaker_local: Any) -> Iterator[Jobs]:
    """On a server of its own, where no other test holds a place."""
    jobs = Jobs(make_sagemaker_local("queue").start())
    yield jobs
    jobs.server.stop()


def fill(jobs: Jobs, places: int = AT_ONCE) -> list[str]:
    """Training jobs that hold all places until `go/` has an object."""
    names = [f"holds-{number}" for number in range(places)]
    for name in names:
        jobs.start_training(name, "", **jobs.plain_container(name, UNTIL_TOLD))
    for name in names:
        eventually(lambda name=name: describe(jobs, name)["SecondaryStatus"] == "Training", f"{name} to run")
    return names


def describe(jobs: Jobs, name: str) -> dict[str, Any]:
    """A training job."""
    job: dict[str, Any] = jobs.sagemaker.describe_training_job(TrainingJobName=name)
    return job


def waiting(jobs: Jobs, name: str, **changes: Any) -> dict[str, Any]:
    """One more job, once it waits for its turn."""
    jobs.start_training(name, "", **(jobs.plain_container(name, "print(1)") | changes))
    eventually(lambda: describe(jobs, name)["SecondaryStatus"] == "Pending", f"{name} to wait")
    return describe(jobs, name)


def test_a_job_too_many_waits_until_a_place_is_free(jobs: Jobs) -> None:
    holding = fill(jobs)
    job = waiting(jobs, "waits")
    assert job["TrainingJobStatus"] == "InProgress"
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job waiting for capacity"
    assert "TrainingStartTime" not in job
    processed = jobs.process("other-kind", "print(1)")  # each kind of job has places of its own
    assert processed["ProcessingJobStatus"] == "Completed"
    assert describe(jobs, "waits")["SecondaryStatus"] == "Pending"

    jobs.put("go/now", "")
    ended = jobs.end_of_training("waits")
    assert ended["TrainingJobStatus"] == "Completed", ended.get("FailureReason")
    statuses = [item["Status"] for item in ended["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    assert ended["SecondaryStatusTransitions"][1]["StatusMessage"] == "Preparing the instances for training"
    assert ended["TrainingTimeInSeconds"] <= 1 + (ended["TrainingEndTime"] - ended["TrainingStartTime"]).total_seconds()
    assert all(jobs.end_of_training(name)["TrainingJobStatus"] == "Completed" for name in holding)


def test_a_waiting_job_is_stopped_and_leaves_the_line(jobs: Jobs) -> None:
    holding = fill(jobs)
    waiting(jobs, "stopped-in-line")
    jobs.sagemaker.stop_training_job(TrainingJobName="stopped-in-line")
    stopped = jobs.end_of_training("stopped-in-line")
    assert (stopped["TrainingJobStatus"], stopped["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "TrainingStartTime" not in stopped
    longest = {"EnableManagedSpotTraining": True}
    longest |= {"StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 2}}  # type: ignore[dict-item]
    waiting(jobs, "too-long", **longest)
    late = jobs.end_of_training("too-long")
    assert (late["TrainingJobStatus"], late["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    waiting(jobs, "next")
    jobs.sagemaker.stop_training_job(TrainingJobName=holding[0])
    assert jobs.end_of_training("next")["TrainingJobStatus"] == "Completed"


def test_processing_jobs_wait_too(jobs: Jobs) -> None:
    names = [f"process-{number}" for number in range(AT_ONCE + 1)]
    for name in names:
        jobs.start_processing(name, UNTIL_TOLD)

    def started() -> list[str]:
        found = [jobs.sagemaker.describe_processing_job(ProcessingJobName=name) for name in names]
        return [job["ProcessingJobName"] for job in found if "ProcessingStartTime" in job]

    eventually(lambda: len(started()) == AT_ONCE, "all places to be taken")
    time.sleep(0.3)
    [last] = set(names) - set(started())
    jobs.sagemaker.stop_processing_job(ProcessingJobName=last)
    stopped = jobs.end_of_processing(last)
    assert stopped["ProcessingJobStatus"] == "Stopped"
    assert "ProcessingStartTime" not in stopped
    jobs.put("go/now", "")
    ended = [jobs.end_of_processing(name)["ProcessingJobStatus"] for name in names if name != last]
    assert ended == ["Completed"] * AT_ONCE


def test_waiting_jobs_fail_with_the_server_and_never_begin(make_sagemaker_local: Any) -> None:
    jobs = Jobs(make_sagemaker_local("ends").start())
    fill(jobs)
    waiting(jobs, "in-line")
    jobs.server.restart()
    job = describe(jobs, "in-line")
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", RESTARTED)
    assert "TrainingStartTime" not in job


class Woken:
    """Counts how often it is woken."""

    def __init__(self) -> None:
        self.times = 0

    def wake(self) -> None:
        self.times += 1


def test_the_line_admits_in_the_order_of_coming() -> None:
    line, (a, b, c) = JobQueue(1), (Woken(), Woken(), Woken())
    assert [line.enter(job) for job in (a, b, c)] == [True, False, False]
    line.leave(b)  # it has given up
    line.leave(b)
    assert (line.admits(a), line.admits(b), line.admits(c)) == (True, False, False)
    line.leave(a)
    assert line.admits(c)
    assert c.times == 1
