"""Managed Spot training: interruptions, resuming from checkpoints, waiting for capacity, and what is billed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from include.sagemaker_local.state.spot import DEFAULT, Interruption, SpotMarket
from include.sagemaker_local.state.store import Store
from tests.conftest import LocalSageMaker
from tests.kits.job_kit import Jobs, eventually

CHECKPOINTING = """
import os, time
from pathlib import Path
folder = Path("/opt/ml/checkpoints")
done = sorted(int(path.suffix[1:]) for path in folder.glob("round.*"))
first = done[-1] + 1 if done else 0
print("resuming from round", first)
last = 5
for number in range(first, last + 1):
    time.sleep(0.2)
    draft = folder / f"round.{number}.sagemaker-ignore"
    draft.write_text("x" * 1000)
    draft.rename(folder / f"round.{number}")
    for old in folder.glob("round.*"):
        if int(old.suffix[1:]) < number - 1:
            old.unlink()
# the interruption comes after a checkpoint is in S3: give it time to come before the end
if not done:
    time.sleep(600)
Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(f"trained from {first}")
"""


@pytest.fixture
def jobs(sagemaker_local: LocalSageMaker) -> Iterator[Jobs]:
    jobs = Jobs(sagemaker_local)
    yield jobs
    jobs.spot_settings(DEFAULT)


def _statuses(job: dict[str, Any]) -> list[str]:
    return [transition["Status"] for transition in job["SecondaryStatusTransitions"]]


@pytest.mark.aws_fact("describe-spot-sequences")
def test_an_interrupted_job_resumes_from_its_checkpoint(jobs: Jobs) -> None:
    jobs.spot_settings({"rules": [{"job": "resumes*", "after_checkpoints": 2, "gap_seconds": 0.5}]})
    job = jobs.train("resumes", CHECKPOINTING, **jobs.spot("resumes"))

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    attempt = ["Starting", "Pending", "Downloading", "Training"]
    assert _statuses(job) == [*attempt, "Interrupted", *attempt, "Uploading", "Completed"]
    transitions = job["SecondaryStatusTransitions"]
    for before, after in itertools.pairwise(transitions):
        assert before["EndTime"] == after["StartTime"]
    assert job["TrainingStartTime"] == transitions[2]["StartTime"]
    assert 1 <= job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]

    first, second = jobs.log_streams("Training", "resumes")  # a stream per attempt
    assert "resuming from round 0" in first
    [resumed] = [line for line in second if line.startswith("resuming from round")]
    assert resumed != "resuming from round 0"
    # Deleted in the container means deleted in S3; what the script calls unfinished never was there.
    assert jobs.keys("resumes/checkpoints/") == ["round.4", "round.5"]


def test_a_new_job_with_the_same_checkpoint_prefix_resumes_too(jobs: Jobs) -> None:
    jobs.put("again/checkpoints/round.3", "x")
    job = jobs.train("again", CHECKPOINTING, **jobs.spot("again"))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    [lines] = jobs.log_streams("Training", "again")
    assert "resuming from round 4" in lines
    assert jobs.keys("again/checkpoints/") == ["round.4", "round.5"]  # the restored round.3 was deleted by the script


def test_a_checkpoint_is_uploaded_only_when_it_is_complete(jobs: Jobs) -> None:
    script = """
import time
from pathlib import Path
folder = Path("/opt/ml/checkpoints")
with open(folder / "slow.bin", "w") as file:
    file.write("first half, "); file.flush()
    (folder / "complete.bin").write_text("complete")
    time.sleep(1.5)   # longer than several scans
    print("still open", flush=True)
    while not Path("/opt/ml/input/data/code/never").exists(): time.sleep(0.1)
"""
    container = jobs.plain_container("half", script)
    jobs.start_training("half", "", **jobs.spot("half"), **container)
    jobs.wait_for_line("Training", "half", "still open")
    assert jobs.keys("half/checkpoints/") == ["complete.bin"]
    jobs.sagemaker.stop_training_job(TrainingJobName="half")
    jobs.end_of_training("half")


def test_an_interruption_after_seconds_loses_what_was_not_in_s3(jobs: Jobs) -> None:
    jobs.spot_settings({"rules": [{"job": "lost", "after_seconds": 1.0, "gap_seconds": 0.1, "times": 2}]})
    script = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: Path("/opt/ml/checkpoints/notice").write_text("x"))
attempts = Path("/opt/ml/model/attempts")
assert not attempts.exists()  # a new instance knows nothing of the one before
attempts.write_text("1")
file = open("/opt/ml/checkpoints/unfinished", "w"); file.write("x"); file.flush()
time.sleep(4)
file.close()
"""
    job = jobs.train("lost", "", **jobs.spot("lost"), **jobs.plain_container("lost", script))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert _statuses(job).count("Interrupted") == 2
    assert jobs.keys("lost/checkpoints/") == ["unfinished"]  # from the last attempt; nobody saw a SIGTERM


@pytest.mark.aws_fact("describe-waits-for-capacity")
@pytest.mark.aws_fact("describe-spot-sequences")
@pytest.mark.aws_fact("describe-no-capacity-kinds")
def test_without_capacity_the_job_waits_and_stops_without_ever_starting(jobs: Jobs) -> None:
    jobs.spot_settings({"rules": [{"job": "no-capacity", "no_capacity": True}]})
    job = jobs.train("no-capacity", "", **jobs.spot("no-capacity", longest=1))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert _statuses(job) == ["Starting", "Stopping", "MaxWaitTimeExceeded"]
    said = job["SecondaryStatusTransitions"][0]["StatusMessage"]
    assert said == "Insufficient capacity error from EC2 while launching instances, retrying!"
    assert "TrainingStartTime" not in job
    assert "FailureReason" not in job
    assert jobs.log_streams("Training", "no-capacity") == []


@pytest.mark.aws_fact("describe-max-wait-while-training")
def test_max_wait_that_passes_while_it_trains_keeps_the_artefact(jobs: Jobs) -> None:
    script = "import time; open('/opt/ml/model/half', 'w').write('x'); time.sleep(600)"
    job = jobs.train("waits-out", "", **jobs.spot("waits-out", longest=2), **jobs.plain_container("waits-out", script))
    assert _statuses(job)[-4:] == ["Training", "Stopping", "Uploading", "MaxWaitTimeExceeded"]
    last = job["SecondaryStatusTransitions"][-1]["StatusMessage"]
    assert last == "Training job wait time exceeded MaxWaitTimeInSeconds provided"
    assert job["TrainingJobStatus"] == "Stopped"
    assert "FailureReason" not in job
    assert jobs.keys("waits-out/model/") == ["waits-out/output/model.tar.gz"]


def test_a_gap_longer_than_max_wait_stops_the_job(jobs: Jobs) -> None:
    jobs.spot_settings({"rules": [{"job": "long-gap", "after_seconds": 0.1, "gap_seconds": 600}]})
    container = jobs.plain_container("long-gap", "import time; time.sleep(600)")
    job = jobs.train("long-gap", "", **jobs.spot("long-gap", longest=2), **container)
    assert _statuses(job)[-3:] == ["Interrupted", "Stopping", "MaxWaitTimeExceeded"]
    assert job["TrainingJobStatus"] == "Stopped"


def test_a_job_that_waits_for_capacity_can_be_stopped(jobs: Jobs) -> None:
    jobs.spot_settings({"rules": [{"job": "stop-waiting", "no_capacity": True}]})
    jobs.start_training("stop-waiting", "", **jobs.spot("stop-waiting"))
    jobs.sagemaker.stop_training_job(TrainingJobName="stop-waiting")
    job = jobs.end_of_training("stop-waiting")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")


def test_spot_costs_less_even_without_an_interruption_and_on_demand_never_is_interrupted(jobs: Jobs) -> None:
    jobs.spot_settings({"rules": [{"job": "on-demand", "after_seconds": 0.01}], "discount": 0.9})
    script = "import time; time.sleep(2.5)"
    jobs.start_training("spot", "", **jobs.spot("spot"), **jobs.plain_container("spot", script))
    demand = jobs.train("on-demand", "", **jobs.plain_container("on-demand", script))
    spot = jobs.end_of_training("spot")
    assert spot["BillableTimeInSeconds"] < spot["TrainingTimeInSeconds"]
    assert "Interrupted" not in _statuses(demand)
    assert demand["BillableTimeInSeconds"] == demand["TrainingTimeInSeconds"]


def test_the_settings_survive_a_restart(make_sagemaker_local: Any) -> None:
    jobs = Jobs(make_sagemaker_local().start())
    assert jobs.spot_settings() == (200, DEFAULT)
    settings = {"rules": [{"job": "a-*", "after_checkpoints": 1}], "seed": 7, "interruptions_per_hour": 2}
    assert jobs.spot_settings(settings) == (200, {**DEFAULT, **settings})
    jobs.server.restart()
    assert eventually(jobs.spot_settings) == (200, {**DEFAULT, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": []}, "unknown setting rule; known are rules, seed, interruptions_per_hour, discount"),
        ({"discount": 1.5}, "discount is 1.5; it must be a number from 0 to 1"),
        ({"rules": [{"after_seconds": 1}]}, 'rules[0] must be an object with "job"'),
        ({"rules": [{"job": "*"}]}, "rules[0] must have exactly one of after_checkpoints, after_seconds"),
        ({"rules": [{"job": "*", "after_second": 1}]}, "rules[0] has an unknown member after_second"),
        ({"rules": [{"job": "*", "after_seconds": -1}]}, "rules[0].after_seconds is -1"),
    ],
)
def test_bad_settings_are_refused_and_change_nothing(jobs: Jobs, settings: dict[str, Any], message: str) -> None:
    before = jobs.spot_settings()
    status, answer = jobs.spot_settings(settings)
    assert status == 400
    assert message in answer["error"]
    assert jobs.spot_settings() == before


def test_random_interruptions_are_the_same_for_the_same_seed(tmp_path: Any) -> None:
    market = SpotMarket(Store(tmp_path / "store.sqlite"))
    assert market.next_interruption("job", 0) is None
    market.change({"seed": 1, "interruptions_per_hour": 60})
    first = [market.next_interruption("job", number) for number in range(5)]
    assert first == [market.next_interruption("job", number) for number in range(5)]
    assert len(set(first)) == 5
    market.change({"seed": 2, "interruptions_per_hour": 60})
    assert first != [market.next_interruption("job", number) for number in range(5)]
    market.change({"rules": [{"job": "jo?", "after_seconds": 3, "gap_seconds": 2}]})
    assert market.next_interruption("job", 0) == Interruption(None, 3, 2)
    assert market.next_interruption("job", 1) is None
    assert market.next_interruption("other", 0) is None
