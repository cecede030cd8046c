"""`new` gives a model that works: it lints clean, and its scripts run one after the other on its own data."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from sagemaker_retraining.cli.main import main
from sagemaker_retraining.plan import code_files
from tests.conftest import JOBS_PYTHON
from tests.project import ExampleProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExampleProject:
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    (tmp_path / "dags").mkdir()
    return ExampleProject(tmp_path)


def test_it_lints_clean(project: ExampleProject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "churn"]) == 0
    assert "wrote include/models/churn/model.yaml\n" in capsys.readouterr().out
    assert main(["lint", "churn"]) == 0
    assert code_files(project.root / "models/churn") == ["evaluate.py", "inference.py", "preprocess.py", "train.py"]


def test_airflow_finds_its_dag_file(project: ExampleProject) -> None:
    from airflow.utils.file import might_contain_dag_via_default_heuristic

    main(["new", "churn"])
    dag_file = project.root.parent / "dags/churn.py"
    assert might_contain_dag_via_default_heuristic(str(dag_file))
    assert 'retraining_dag("churn")' in dag_file.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Churn", "'Churn' is not a model name"),
        ("../churn", "is not a model name"),
        ("demo_model", "include/models/demo_model is there already"),
        ("taken", "dags/taken.py is there already"),
    ],
)
def test_a_name_that_cannot_be(
    project: ExampleProject, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    (project.root.parent / "dags/taken.py").touch()
    before = sorted(project.root.parent.rglob("*"))
    assert main(["new", name]) == 1
    assert message in capsys.readouterr().err
    assert sorted(project.root.parent.rglob("*")) == before


class Jobs:
    """The model's scripts in the jobs' own Python, with folders in place of S3."""

    def __init__(self, model: Path, work: Path) -> None:
        self.model, self.work = model, work

    def run(self, script: str, *arguments: str, **environment: str) -> str:
        command = [str(JOBS_PYTHON), str(self.model / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def train(self, rounds: int) -> str:
        channels = {f"SM_CHANNEL_{name.upper()}": str(self.work / "pre" / name) for name in ("train", "validation")}
        arguments = ["--num_round", str(rounds), "--checkpoints", str(self.work / "checkpoints")]
        return self.run("train.py", *arguments, SM_MODEL_DIR=str(self.work / "model"), **channels)

    def pack(self, folder: str) -> None:
        target = self.work / "evaluate-in" / folder / "model.tar.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.add(self.work / "model", arcname=".")
        target.write_bytes(buffer.getvalue())


def test_its_scripts_work(project: ExampleProject, tmp_path: Path) -> None:
    main(["new", "churn"])
    jobs = Jobs(project.root / "models/churn", tmp_path / "work")
    jobs.run("sample_data.py", "--output", str(jobs.work / "pre-in" / "raw"))
    jobs.run(
        "preprocess.py", "--period", "2013-03", "--input", str(jobs.work / "pre-in"), "--output", str(jobs.work / "pre")
    )
    assert "Training from round 0 to 20" in jobs.train(20)
    jobs.pack("champion")
    assert "Training from round 20 to 60" in (log := jobs.train(60))
    assert "validation-auc:0." in log
    jobs.pack("model")
    (jobs.work / "evaluate-in" / "test").symlink_to(jobs.work / "pre" / "test")
    paths = ["--input", str(jobs.work / "evaluate-in"), "--output", str(jobs.work / "out")]
    jobs.run("evaluate.py", "--period", "2013-03", *paths)
    evaluation = json.loads((jobs.work / "out/evaluation/evaluation.json").read_text())
    assert evaluation["binary_classification_metrics"]["auc"]["value"] > 0.75
    assert evaluation["champion"]["binary_classification_metrics"]["auc"]["value"] > 0.7
    assert evaluation["holdout"]["rows"] == 2000
    samples = [json.loads(line) for line in (jobs.work / "out/evaluation/sample.jsonl").read_text().splitlines()]
    assert len(samples) == 200
    assert all(set(sample) == {"content_type", "body", "prediction"} for sample in samples)
    assert (jobs.work / "out/report/report.html").read_text().startswith("<!doctype html>")
