"""What `python -m include.sagemaker_local.compare` finds: the server's own answers, altered by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from include.aws_smoke.recording import FORMAT, About, Outcome, RecordedCall, Request
from include.sagemaker_local.compare.differences import differences
from include.sagemaker_local.compare.replay import RecordingError, local_sagemaker, read, replay
from tests.conftest import JOBS_PYTHON

Lines = list[RecordedCall]
Replayed = list[tuple[RecordedCall, Outcome]]
ABOUT: About = {
    "format": FORMAT,
    "environment": "prod",
    "region": "eu-west-1",
    "made": "2026-11-21T00:00:00+00:00",
}
GROUP = {"ModelPackageGroupName": "compared"}


def call(operation: str, request: Request) -> RecordedCall:
    return {"name": "test", "service": "sagemaker", "operation": operation, "request": request}


CALLS: Lines = [
    call("CreateModelPackageGroup", {**GROUP, "ModelPackageGroupDescription": "text"}),
    {**call("DescribeModelPackageGroup", GROUP), "wait": "ModelPackageGroupStatus"},
    call("ListModelPackageGroups", {}),
    call("DescribeModel", {"ModelName": "nobody"}),
]


def added(lines: Lines) -> None:
    lines[1]["answers"][0]["ModelPackageGroupColour"] = "blue"


def removed(lines: Lines) -> None:
    del lines[1]["answers"][0]["ModelPackageGroupDescription"]


def retyped(lines: Lines) -> None:
    lines[1]["answers"][0]["CreationTime"] = 12


def other_word(lines: Lines) -> None:
    lines[2]["answers"][0]["ModelPackageGroupSummaryList"][0]["ModelPackageGroupStatus"] = "Pending"


def longer(lines: Lines) -> None:
    lines[2]["answers"][0]["ModelPackageGroupSummaryList"] *= 2


def refused(lines: Lines) -> None:
    del lines[1]["answers"]
    lines[1]["error"] = {"code": "AccessDeniedException", "message": "no", "status": 400}


def accepted(lines: Lines) -> None:
    del lines[3]["error"]
    lines[3]["answers"] = [{}]


def other_code(lines: Lines) -> None:
    lines[3]["error"]["code"] = "ResourceNotFound"


def other_text(lines: Lines) -> None:
    lines[3]["error"]["message"] = "No such model."


# Answers as AWS might have given them, and what compare says.
ALTERATIONS: list[tuple[Callable[[Lines], None], str]] = [
    (added, "ModelPackageGroupColour: only AWS has it ('blue')"),
    (removed, "ModelPackageGroupDescription: only here ('text')"),
    (retyped, "CreationTime: AWS number, here time"),
    (other_word, "ModelPackageGroupSummaryList[].ModelPackageGroupStatus: AWS 'Pending', here 'Completed'"),
    (longer, "ModelPackageGroupSummaryList: AWS has 2, here 1"),
    (refused, "AWS refuses it (AccessDeniedException: no); here it is accepted"),
    (accepted, "AWS accepts it; here it is refused (ValidationException: Could not find model "),
    (other_code, "error code: AWS ResourceNotFound, here ValidationException"),
    (other_text, "error text: AWS 'No such model.', here 'Could not find model "),
]


@pytest.fixture(scope="module")
def replayed() -> Replayed:
    """The calls, and what a fresh local SageMaker of another region answers."""
    with local_sagemaker(JOBS_PYTHON) as url:
        return list(replay(ABOUT, CALLS, url))


def found(replayed: Replayed, alter: Callable[[Lines], None] | None) -> list[str]:
    """What differs between the server's own answers, altered, and themselves."""
    lines = copy.deepcopy([cast("RecordedCall", {**line, **ours}) for line, ours in replayed])
    if alter:
        alter(lines)
    return [text for line, (_, ours) in zip(lines, replayed, strict=True) for text in differences(line, ours)]


def test_the_same_answers_have_no_differences(replayed: Replayed) -> None:
    assert found(replayed, None) == []


@pytest.mark.parametrize(("alter", "says"), ALTERATIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_altered_answer_is_found(replayed: Replayed, alter: Callable[[Lines], None], says: str) -> None:
    texts = found(replayed, alter)
    assert len(texts) == 1 and texts[0].startswith(says), texts


def test_what_cannot_be_sent_here_is_a_difference() -> None:
    line = call("DescribeModel", {"NoSuchMember": "x"})
    with local_sagemaker(JOBS_PYTHON) as url:
        [(_, ours)] = replay(ABOUT, [line], url)
    assert ours["error"]["code"] == "ParamValidationError"


def test_states_are_compared_in_their_order() -> None:
    def line(*states: str, inner: tuple[str, ...]) -> RecordedCall:
        transitions = [{"Status": state, "StatusMessage": "x"} for state in inner]
        answers = [{"TrainingJobStatus": state, "SecondaryStatusTransitions": transitions} for state in states]
        return {**call("DescribeTrainingJob", {}), "wait": "TrainingJobStatus", "answers": answers}

    aws = line("InProgress", "Stopping", "Completed", inner=("Starting", "Pending", "Training"))
    here = line("InProgress", "Completed", inner=("Starting", "Training"))
    assert list(differences(aws, here)) == [
        "TrainingJobStatus: AWS InProgress → Stopping → Completed, here InProgress → Completed",
        "SecondaryStatusTransitions: AWS Starting → Pending → Training, here Starting → Training",
    ]
    assert list(differences(aws, line("Completed", inner=("Starting", "Pending", "Training")))) == []


def test_what_is_another_at_every_call_is_no_difference() -> None:
    def line(reason: str, code: str = "x") -> RecordedCall:
        answer = {"FailureReason": reason, "TrainingJobArn": f"arn:aws:sagemaker:{code}"}
        return {**call("DescribeTrainingJob", {}), "answers": [answer]}

    aws = line("AlgorithmError: job arn:aws:sagemaker:eu-west-1:1:training-job/a of 2026-01-01T00:00:00Z, code 1", "a")
    here = line("AlgorithmError: job arn:aws:sagemaker:us-east-1:2:training-job/b of 2027-01-01T00:00:00Z, code 2", "b")
    assert list(differences(aws, here)) == []
    assert list(differences(line("ClientError: x"), here))


def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    for text in ("", "{}\n", "no json\n"):
        (tmp_path / "file").write_text(text)
        with pytest.raises(RecordingError, match="file is not a recording of make aws-smoke"):
            read(tmp_path / "file")
