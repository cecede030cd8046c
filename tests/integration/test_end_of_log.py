"""What a script said last stands in the error of its task: SageMaker's own reason names the command alone."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_retraining import job_log
from sagemaker_retraining.job_log import JobLog
from sagemaker_retraining.operators.jobs import ResumableProcessingOperator, ResumableTrainingOperator
from sagemaker_retraining.outcomes import AlgorithmError
from tests.conftest import LocalSageMaker
from tests.kits.job_kit import Jobs

pytestmark = pytest.mark.usefixtures("as_dag_role")
SAID = "2013-11/flights.parquet: no column dep_delay"


class StateStore(dict[str, Any]):
    """What Airflow gives a task to remember things by."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def error_of(operator: type[ResumableTrainingOperator | ResumableProcessingOperator], request: dict[str, Any]) -> str:
    task = operator(task_id="job", config=request, deferrable=False, poll_seconds=0.1)
    with pytest.raises(AlgorithmError) as failed:
        task.execute({"task_state_store": StateStore()})  # type: ignore[typeddict-item]
    return str(failed.value)


@pytest.fixture
def jobs(sagemaker_local: LocalSageMaker) -> Jobs:
    return Jobs(sagemaker_local)


@pytest.mark.aws_fact("image-training-toolkit")
def test_the_scripts_own_sentence(jobs: Jobs) -> None:
    """Of a training job, the newest lines, and no line that would fill a page."""
    script = f"print('-' * 9999)\nfor n in range(99): print('line', n)\nraise SystemExit('{SAID}')"
    said = error_of(ResumableTrainingOperator, jobs.training_request("said-train", script))
    head, _, lines = said.partition("The end of its log:\n")
    assert "ExecuteUserScriptError" in head
    assert SAID not in head
    assert f"\n  {SAID}\n" in lines
    assert len(lines.splitlines()) == job_log.LAST_LINES
    assert "line 98" in lines
    assert "line 9\n" not in lines
    assert max(map(len, said.splitlines())) <= job_log.LONGEST_LINE + 4


def test_the_toolkits_variables_are_no_reason(jobs: Jobs) -> None:
    """A script that fails at once: the toolkit has printed a screen of variables before it."""
    said = error_of(ResumableTrainingOperator, jobs.training_request("said-soon", f"raise SystemExit('{SAID}')"))
    lines = said.partition("The end of its log:\n")[2].splitlines()
    assert f"  {SAID}" in lines
    assert [line for line in lines if line.startswith("  SM_")] == []


def test_a_log_that_comes_late(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudWatch shows the stream some seconds after the job's end."""
    streams, asked = JobLog.streams, []

    def late(self: JobLog) -> list[str]:
        asked.append(self.job)
        return [] if len(asked) < 5 else streams(self)

    monkeypatch.setattr(JobLog, "streams", late)
    said = error_of(ResumableProcessingOperator, jobs.processing_request("said-late", f"raise SystemExit('{SAID}')"))
    assert said.endswith(f"\nThe end of its log:\n  {SAID}")


def test_lines_that_come_late(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lines are there, the last come a moment later."""
    new_lines_of, asked = JobLog.new_lines_of, []

    def late(self: JobLog, stream: str) -> Any:
        asked.append(stream)
        return iter(["Reading"]) if len(asked) == 1 else iter([]) if len(asked) > 2 else new_lines_of(self, stream)

    monkeypatch.setattr(JobLog, "new_lines_of", late)
    said = error_of(ResumableProcessingOperator, jobs.processing_request("said-later", f"raise SystemExit('{SAID}')"))
    assert said.endswith(f"\nThe end of its log:\n  Reading\n  {SAID}")


def test_an_empty_log(jobs: Jobs) -> None:
    said = error_of(ResumableProcessingOperator, jobs.processing_request("said-nothing", "raise SystemExit(3)"))
    assert said.endswith("\nIts log (/aws/sagemaker/ProcessingJobs, said-nothing/) is empty.")


def test_a_log_that_may_not_be_read(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the script's failure all the same."""

    def refuse(self: JobLog) -> list[str]:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, "DescribeLogStreams")

    monkeypatch.setattr(JobLog, "streams", refuse)
    said = error_of(ResumableProcessingOperator, jobs.processing_request("said-secret", f"raise SystemExit('{SAID}')"))
    assert "exit code: 1 (the script failed" in said
    assert "\nIts log cannot be read: An error occurred (AccessDeniedException)" in said
