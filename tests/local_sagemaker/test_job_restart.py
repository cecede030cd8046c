"""What becomes of running jobs when the local SageMaker stops, or dies."""

from __future__ import annotations

from typing import Any

import pytest

from include.sagemaker_local.jobs.record import RESTARTED
from tests.kits.job_kit import Jobs, eventually, processes

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_running_jobs_end_with_the_server_and_are_failed_by_the_next(make_sagemaker_local: Any, how: str) -> None:
    jobs = Jobs(make_sagemaker_local().start())
    server = jobs.server
    done = jobs.process(f"done-{how}", "")
    jobs.start_training(f"train-{how}", "", **jobs.plain_container(f"train-{how}", SLEEP))
    request = jobs.processing_request(f"process-{how}", SLEEP)
    request["AppSpecification"]["ContainerArguments"] = [f"--marker=process-{how}"]
    jobs.sagemaker.create_processing_job(**request)
    jobs.wait_for_line("Training", f"train-{how}", "ready")
    jobs.wait_for_line("Processing", f"process-{how}", "ready")
    markers = [f"--marker=process-{how}", f"--marker=train-{how}"]
    assert all(len(processes(marker)) == 2 for marker in markers)  # the script and its launcher

    getattr(server, how)()
    eventually(lambda: not any(processes(marker) for marker in markers), "the end of all job processes")
    server.start()

    training = jobs.sagemaker.describe_training_job(TrainingJobName=f"train-{how}")
    assert (training["TrainingJobStatus"], training["SecondaryStatus"]) == ("Failed", "Failed")
    assert training["FailureReason"] == RESTARTED
    assert [t["Status"] for t in training["SecondaryStatusTransitions"]][-2:] == ["Training", "Failed"]
    assert training["TrainingTimeInSeconds"] >= 1
    processing = jobs.sagemaker.describe_processing_job(ProcessingJobName=f"process-{how}")
    assert (processing["ProcessingJobStatus"], processing["FailureReason"]) == ("Failed", RESTARTED)
    kept = jobs.sagemaker.describe_processing_job(ProcessingJobName=f"done-{how}")
    assert kept["ProcessingJobStatus"] == "Completed"
    assert kept["ProcessingEndTime"] == done["ProcessingEndTime"]
    assert list(server.state.glob("jobs/*-job/*")) == []
