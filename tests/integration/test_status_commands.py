"""status, approve and reject as people use them: with boto3's own settings, against the local SageMaker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sagemaker_retraining.cli.main import main
from tests.conftest import LocalSageMaker
from tests.kits.model_package_kit import inference_specification
from tests.kits.project import ExampleProject

GROUP = "demo-model"


@pytest.fixture
def sagemaker(sagemaker_local: LocalSageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three versions of demo_model: 1 and 2 approved, 3 pending."""
    ExampleProject(tmp_path)
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    for name, value in sagemaker_local.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr("getpass.getuser", lambda: "jane")
    api = sagemaker_local.client("sagemaker")
    remove(api)
    api.create_model_package_group(ModelPackageGroupName=GROUP)
    for number, auc in enumerate(("0.72", "0.71", "0.75"), 1):
        api.create_model_package(
            ModelPackageGroupName=GROUP,
            InferenceSpecification=inference_specification(sagemaker_local),
            CustomerMetadataProperties={
                "period": f"2013-{8 + number:02}",
                "metric.auc": auc,
                "metric.log_loss": f"0.{4 + number}",
                "run_id": f"run-{number}",
            },
            ModelApprovalStatus="PendingManualApproval",
        )
    for number in (1, 2):
        assert main(["approve", "demo_model", str(number), "--reason", f"reason {number}"]) == 0
    yield api
    remove(api)


def remove(api: Any) -> None:
    """The group and its versions, if they are there."""
    if api.list_model_package_groups(NameContains=GROUP)["ModelPackageGroupSummaryList"]:
        for version in api.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]:
            api.delete_model_package(ModelPackageName=version["ModelPackageArn"])
        api.delete_model_package_group(ModelPackageGroupName=GROUP)


@pytest.fixture
def who(sagemaker_local: LocalSageMaker) -> str:
    """The name on this machine, and the one AWS knows."""
    return f"jane as {sagemaker_local.client('sts').get_caller_identity()['Arn']}"


def arn_of(number: int) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{GROUP}/{number}"


def test_status_marks_the_best_approved(sagemaker: Any, who: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["status", "demo_model"]) == 0
    head, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == ["version", "month", "status", "auc", "when", "from", "by", "why"]
    assert lines[0] == ["3", "2013-11", "PendingManualApproval", "0.7500", "-", "-", "-", "-"]
    assert lines[1][:4] == ["2", "2013-10", "Approved", "0.7100"]
    assert lines[2][:5] == ["*", "1", "2013-09", "Approved", "0.7200"]
    assert " ".join(lines[2]).endswith(f"cli {who} reason 1")


def test_status_for_programs(sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["status", "demo_model", "--json", "--metric", "log_loss"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [version["version"] for version in found] == [3, 2, 1]
    assert [version["best"] for version in found] == [False, False, True]  # of a loss the lowest
    assert found[2]["metrics"] == {"auc": 0.72, "log_loss": 0.5}
    assert (found[2]["from"], found[2]["reason"], found[2]["run_id"]) == ("cli", "reason 1", "run-1")
    assert [line["to_status"] for line in found[2]["transitions"]] == ["Approved"]
    assert (found[0]["by"], found[0]["reason"]) == (None, None)


def test_a_decision_is_recorded_with_both_identities(
    sagemaker: Any, who: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["reject", "demo_model", "3", "--reason", "too many false alarms"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"demo-model/3 is Rejected by {who} from cli at ")
    assert said.endswith(": too many false alarms\n")
    package = sagemaker.describe_model_package(ModelPackageName=arn_of(3).replace("eu-west-1", "us-east-1"))
    assert package["CustomerMetadataProperties"]["decided_by"] == who
    assert package["ApprovalDescription"] == "too many false alarms"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["approve", "demo_model", "9"], "demo-model/9 does not exist: its versions are 1, 2, 3"),
        (["reject", "demo_model", "1", "--reason", "no"], "already decided: demo-model/1 is Approved by jane as arn:"),
        (["reject", "demo_model", "3", "--reason", " "], "demo-model/3: a rejection needs a reason"),
        (["approve", "demo", "3"], "no such model; did you mean 'demo_model'?"),
        (["status", "demo_model", "--metric", "f1"], "--metric f1: no version has it; there are auc, log_loss"),
    ],
)
def test_bad_input_is_one_line(
    sagemaker: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    capsys.readouterr()
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert len(captured.err.splitlines()) == 1


def test_no_group_yet(sagemaker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    remove(sagemaker)
    capsys.readouterr()
    assert main(["status", "demo_model"]) == 0
    assert capsys.readouterr().out == "demo-model has no versions yet\n"
    assert main(["approve", "demo_model", "1"]) == 1
    assert capsys.readouterr().err == "demo-model/1 does not exist: there is no version of it\n"


def test_aws_that_does_not_answer_is_one_line(
    sagemaker: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["status", "demo_model"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Could not connect to the endpoint URL")
