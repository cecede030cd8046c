"""The command line as people use it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_retraining.cli.main import main
from tests.project import ENVIRONMENT, MODEL, ExampleProject

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExampleProject:
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    return ExampleProject(tmp_path)


def test_in_a_process(project: ExampleProject, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sagemaker_retraining", "lint"]
    environment = os.environ | {"PYTHONPATH": str(PLUGINS)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok: demo_model in prod, test\n", "")


class TestLint:
    def test_problems_are_lines_on_standard_output(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str]
    ) -> None:
        project.write_model(MODEL + "ownr: x\n")
        (project.folder / "train.py").write_text("x = 1\ndef f(:\n")
        assert main(["lint"]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "include/models/demo_model/train.py:2: is not Python: invalid syntax",
            "include/models/demo_model/model.yaml:5: ownr: unknown key; did you mean 'owner'?",
        ]

    def test_requests_are_checked(self, project: ExampleProject, capsys: pytest.CaptureFixture[str]) -> None:
        """What only the service model knows: a description may not hold a control character."""
        project.write_model(MODEL + 'description: "a\\ab"\n')
        assert main(["lint", "--env", "test"]) == 1
        [line] = capsys.readouterr().out.splitlines()
        assert line.startswith(
            "demo_model in test: CreateModelPackageGroup: ModelPackageGroupDescription: 'a\\x07b' does"
        )

    def test_an_instance_type_that_botocore_does_not_know_is_a_warning(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str]
    ) -> None:
        project.write_model(MODEL + "train: {instance_type: ml.m99.large}\n")
        assert main(["lint", "--env", "test"]) == 0
        assert "warning: demo_model in test: CreateTrainingJob: ResourceConfig.InstanceType" in capsys.readouterr().err

    def test_a_broken_environment_is_named_once(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str]
    ) -> None:
        project.write_environment("environment: test\n")
        assert main(["lint"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(": is missing")[0] for line in lines] == [
            f"include/environments/test.yaml:1: {key}" for key in ("account", "bucket", "region", "role_arn")
        ]

    @pytest.mark.parametrize(
        ("gate", "warning"),
        [
            ("minimum: {f2: 0.5}", "quality_gate.minimum.f2: no script of the model names f2: does evaluate write it?"),
            (
                "maximum: {auc: 0.9}",
                "quality_gate.maximum.auc: more auc is better, and this refuses it; is it meant",
            ),
            ("minimum: {auc: 60}", "quality_gate.minimum.auc: auc is at most 1, got 60: nothing passes"),
        ],
    )
    def test_a_gate_that_may_not_be_meant_is_a_warning(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str], gate: str, warning: str
    ) -> None:
        project.write_model(MODEL + f"quality_gate: {{{gate}}}\n")
        assert main(["lint", "--env", "test"]) == 0
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"warning: demo_model in test: {warning}")

    @pytest.mark.parametrize(
        ("here", "there", "message"),
        [
            ("", "", "test.yaml:4: bucket: 'demo-bucket' is the place of include/environments/dev.yaml:4 too"),
            (
                "a/b",
                "a/b",
                "test.yaml:6: prefix: 'a/b' of 'demo-bucket' is the place of include/environments/dev",
            ),
            ("", "demo_model", "dev.yaml:6: prefix: 'demo_model' lies among the files that model demo_model has"),
            ("x", "x/demo_model/runs", "dev.yaml:6: prefix: 'x/demo_model/runs' lies among the files that model demo"),
        ],
    )
    def test_environments_that_share_places_are_both_named_once(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str], here: str, there: str, message: str
    ) -> None:
        for name, prefix in (("test", here), ("dev", there)):
            text = ENVIRONMENT.replace("environment: test", f"environment: {name}")
            project.write_environment(text + (f"prefix: {prefix}\n" if prefix else ""), name)
        assert main(["lint"]) == 1
        [line] = capsys.readouterr().out.splitlines()
        assert line.startswith(f"include/environments/{message}")
        assert main(["lint", "--env", "dev"]) == 1
        assert capsys.readouterr().out.splitlines() == [line]
        assert main(["lint", "--env", "prod"]) == 0

    @pytest.mark.parametrize(("here", "there"), [("", "dev"), ("test", "dev"), ("x", "x/dev"), ("dev", "dev2")])
    def test_prefixes_that_keep_environments_apart(self, project: ExampleProject, here: str, there: str) -> None:
        for name, prefix in (("test", here), ("dev", there)):
            text = ENVIRONMENT.replace("environment: test", f"environment: {name}")
            project.write_environment(text + (f"prefix: {prefix}\n" if prefix else ""), name)
        assert main(["lint"]) == 0

    def test_the_repositorys_own_models(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RETRAINING_HOME", raising=False)
        assert main(["lint"]) == 0


class TestPlan:
    def test_it_is_the_runs_plan(self, project: ExampleProject, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plan", "demo_model", "--period", "2013-11"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["train"]["TrainingJobName"].startswith("demo-model-train-201311-")
        assert plan["environment"] == "test"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["demo_model", "--period", "2013"], "period '2013' is not a month; write YYYY-MM"),
            (["demo_model", "--period", "2012-01"], "period 2012-01 is before first_period 2013-02"),
            (["demo_model", "--period", "2999-01"], "is not over at"),
            (["demo"], "no such model; did you mean 'demo_model'?"),
            (["demo_model", "--env", "tset"], "there is no environment 'tset' (RETRAINING_ENV); did you mean 'test'?"),
        ],
    )
    def test_bad_input_is_one_sentence(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
    ) -> None:
        assert main(["plan", *arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message in captured.err
        assert len(captured.err.splitlines()) == 1


class TestSchema:
    @pytest.mark.parametrize("of", ["model", "environment"])
    def test_the_repositorys_own_files_follow_it(self, capsys: pytest.CaptureFixture[str], of: str) -> None:
        import yaml
        from jsonschema import Draft202012Validator

        assert main(["schema", of]) == 0
        schema = json.loads(capsys.readouterr().out)
        Draft202012Validator.check_schema(schema)
        include = PLUGINS.parent / "include"
        files = list(include.glob("models/*/model.yaml" if of == "model" else "environments/*.yaml"))
        assert files
        for file in files:
            Draft202012Validator(schema).validate(yaml.safe_load(file.read_text()))
        wrong = [*Draft202012Validator(schema).iter_errors({"ownr": 1})]
        assert any("ownr" in error.message for error in wrong)


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["new"], ["lint"], ["plan"], ["schema"], ["status"], ["approve"], ["reject"]):
        with pytest.raises(SystemExit) as exit_:
            main([*command, "--help"])
        assert exit_.value.code == 0
        assert "examples:\n  python -m sagemaker_retraining" in capsys.readouterr().out
