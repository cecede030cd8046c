"""The command line as people use it: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from sagemaker_retraining.cli import scripts
from sagemaker_retraining.cli.main import main
from tests.kits.project import ENVIRONMENT, MODEL, ExampleProject

INCLUDE = Path(__file__).parents[2] / "include"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExampleProject:
    monkeypatch.setattr(scripts, "today", lambda: date(2026, 11, 17))  # the last day with patches for its image
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    return ExampleProject(tmp_path)


def test_in_a_process(project: ExampleProject, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sagemaker_retraining", "lint"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "ok: demo_model in prod, test\n")
    assert all("gets no patches since" in line for line in done.stderr.splitlines())


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

    @pytest.mark.aws_fact("image-versions")
    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            ("try:\n    pass\nexcept* ValueError:\n    pass\n", "4: the image's Python is 3.10: Exception groups are"),
            ("x = 1\ntype X = int\n", "2: "),
            ("def f[T](x: T) -> T:\n    return x\n", "1: "),
            ('row = {}\nprint(f"{row["a"]}")\n', "2: "),
            ('row = {}\nprint(f"""{row["a"]} {f"{1}"}""" + f"{row[\'a\']}")\n', None),
        ],
    )
    def test_syntax_that_the_image_cannot_read(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str], code: str, problem: str | None
    ) -> None:
        """Whatever Python reads it here, 3.11 or 3.12, refuses it with file and line."""
        (project.folder / "train.py").write_text(code)
        assert main(["lint", "--env", "test"]) == (1 if problem else 0)
        found = capsys.readouterr().out.splitlines()
        if problem:
            assert found[0].startswith(f"include/models/demo_model/train.py:{problem}")
        # Of an image that nothing is known of, nothing is said but what no Python can read.
        project.write_model(
            MODEL.replace("{framework: xgboost, version: 3.0-5}", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1")
        )
        assert (main(["lint", "--env", "test"]) == 1) is ("is not Python" in "".join(found))

    def test_names_that_came_after_the_images_python_are_a_warning(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code = "import datetime\ntry:\n    import tomllib\nexcept ImportError:\n    pass\nprint(datetime.UTC)\n"
        (project.folder / "train.py").write_text(code + "from enum import Enum, StrEnum\n")
        assert main(["lint", "--env", "test"]) == 0
        place = "warning: demo_model in test: include/models/demo_model/train.py"
        assert sorted(capsys.readouterr().err.splitlines()) == [
            f"{place}:{line}: {name} came with 3.11, the image's Python is 3.10"
            for line, name in ((3, "tomllib"), (6, "datetime.UTC"), (7, "enum.StrEnum"))
        ]

    @pytest.mark.aws_fact("image-support")
    def test_an_image_without_patches_is_a_warning(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scripts, "today", lambda: date(2026, 11, 18))
        assert main(["lint", "--env", "test"]) == 0
        assert capsys.readouterr().err == (
            "warning: demo_model in test: image: sagemaker-xgboost:3.0-5 gets no patches since 2026-11-17; 3.2-0 does "
            "until 2027-05-13 (docs/configuration.md)\n"
        )
        monkeypatch.setattr(scripts, "today", lambda: date(2027, 5, 14))
        uri = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.2-0-cpu-py3"
        project.write_model(MODEL.replace("{framework: xgboost, version: 3.0-5}", uri))
        assert main(["lint", "--env", "test"]) == 0
        assert "3.2-0-cpu-py3 gets no patches since 2027-05-13; no newer one is" in capsys.readouterr().err

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

    def test_names_that_environments_of_an_account_share_are_a_warning(
        self, project: ExampleProject, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The champion of one would be the other's version. Another account, or another region, is another registry."""
        project.write_model(MODEL + "deploy: {endpoint: demo}\n")
        dev = ENVIRONMENT.replace("environment: test", "environment: dev") + "prefix: dev\n"
        project.write_environment(dev, "dev")
        assert main(["lint", "--env", "dev"]) == 0
        assert capsys.readouterr().err.splitlines() == [
            f"warning: demo_model in dev: {key}: {name} is environment {other}'s, too: one takes the other's for its "
            "own; add {env}"
            for key, name, other in (
                ("deploy.endpoint", "demo", "prod"),
                ("register.group", "demo-model", "test"),
                ("deploy.endpoint", "demo", "test"),
            )
        ]
        project.write_environment(dev.replace("123456789012", "210987654321"), "dev")
        assert main(["lint", "--env", "dev"]) == 0
        assert capsys.readouterr().err == ""

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
            ("", "", "test.yaml:4: bucket: 'demo-bucket' is used by include/environments/dev.yaml:4 too"),
            (
                "a/b",
                "a/b",
                "test.yaml:6: prefix: 'a/b' of 'demo-bucket' is used by include/environments/dev",
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
        include = INCLUDE
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
