"""`new` gives a model that works: it lints clean, and its scripts run one after the other on its own data."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sagemaker_retraining.cli.main import main
from sagemaker_retraining.cli.new import SKELETON
from sagemaker_retraining.cli.plan import preview
from sagemaker_retraining.config.metrics import known_metrics
from sagemaker_retraining.gate import decide_gate, fill_report
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import code_files, package_code
from tests.conftest import JOBS_PYTHON, REPOSITORY
from tests.kits import flight_delay_kit as kit
from tests.kits.project import ExampleProject


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
    assert code_files(project.root / "models/churn") == [
        "baseline.py", "evaluate.py", "inference.py", "preprocess.py", "train.py",
    ]  # fmt: skip


def test_make_lint_has_nothing_to_say(tmp_path: Path) -> None:
    """The project with a new model, untouched, through the tools of `make lint` that look at models and DAG files."""
    for folder in ("dags", "include", "plugins"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    environment = os.environ | {"RETRAINING_HOME": str(tmp_path)}
    makefile = (REPOSITORY / "Makefile").read_text()
    lines = re.findall(r"^\t@\$\(BIN\)/(.*)$", makefile.split("\nlint:")[1].split("\n\n")[0], re.MULTILINE)
    commands = [line.split() for line in lines if line not in ("mypy", "lint-imports")]  # those look at packages
    assert [command[0] for command in commands] == ["ruff", "ruff", "python"]
    for command in [["python", "-m", "sagemaker_retraining", "new", "churn"], *commands]:
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [program, *command[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        said = [line for line in done.stderr.splitlines() if "gets no patches since" not in line]  # a matter of dates
        assert (done.returncode, said) == (0, []), done.stdout
    assert (tmp_path / "dags/churn.py").exists()


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
        done = self.attempt(script, *arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(JOBS_PYTHON), str(self.model / script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)

    def train(self, rounds: int) -> str:
        done = self.try_to_train(rounds)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_to_train(self, rounds: int) -> subprocess.CompletedProcess[str]:
        channels = {f"SM_CHANNEL_{name.upper()}": str(self.work / "pre" / name) for name in ("train", "validation")}
        arguments = ["--num_round", str(rounds), "--checkpoints", str(self.work / "checkpoints")]
        return self.attempt("train.py", *arguments, SM_MODEL_DIR=str(self.work / "model"), **channels)

    def pack(self, folder: str) -> None:
        target = self.work / "evaluate-in" / folder / "model.tar.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.add(self.work / "model", arcname=".")
        target.write_bytes(buffer.getvalue())

    def evaluate(self, output: str, **environment: str) -> dict[str, Any]:
        paths = ["--input", str(self.work / "evaluate-in"), "--output", str(self.work / output)]
        self.run("evaluate.py", "--period", "2013-03", *paths, **environment)
        evaluation: dict[str, Any] = json.loads((self.work / output / "evaluation/evaluation.json").read_text())
        return evaluation


GATE = {
    "problem": "binary_classification", "minimum": {"auc": 0.6}, "maximum": {}, "metric": "auc",
    "direction": "maximize", "require": "not_worse", "tolerance": 0.02, "on_failure": "fail", "champion": "arn",
}  # fmt: skip


def test_its_scripts_work(project: ExampleProject, tmp_path: Path) -> None:
    """Also with a champion: one that was trained for less long, and one that is broken."""
    main(["new", "churn"])
    jobs = Jobs(project.root / "models/churn", tmp_path / "work")
    # Where SageMaker may put the files of a manifest: under their whole key.
    jobs.run("sample_data.py", "--output", str(jobs.work / "pre-in" / "raw" / "risk/churn/raw"))
    jobs.run(
        "preprocess.py", "--period", "2013-03", "--input", str(jobs.work / "pre-in"), "--output", str(jobs.work / "pre")
    )
    constraints = json.loads((jobs.work / "pre/baseline/constraints.json").read_text())
    assert [feature["name"] for feature in constraints["features"]] == ["a", "b", "c"]
    statistics = json.loads((jobs.work / "pre/baseline/statistics.json").read_text())
    assert statistics["dataset"]["item_count"] == 3600  # nine tenths of two months
    assert "Training from round 0 to 20" in jobs.train(20)
    jobs.pack("champion")
    assert "Training from round 20 to 60" in (log := jobs.train(60))
    assert kit.metrics_in(log) == {"validation:auc": 6}  # what SageMaker's own definitions of the metrics find
    jobs.pack("model")
    refused = jobs.try_to_train(40)
    assert refused.returncode == 1
    assert "a checkpoint of 60 rounds, but num_round is 40" in refused.stderr
    (jobs.work / "evaluate-in" / "test").symlink_to(jobs.work / "pre" / "test")
    evaluation = jobs.evaluate("out")
    challenger, champion = evaluation["binary_classification_metrics"], evaluation["champion"]
    assert min(challenger["auc"]["value"], champion["binary_classification_metrics"]["auc"]["value"]) > 0.75
    assert set(challenger) <= set(known_metrics("binary_classification")), "the gate knows their direction"
    assert challenger["auc"]["standard_deviation"] > evaluation["comparison"]["auc"]["standard_deviation"] > 0
    low, high = evaluation["comparison"]["auc"]["confidence_interval"]
    assert low < evaluation["comparison"]["auc"]["difference"] < high
    assert evaluation["holdout"]["rows"] == 2000
    decision = decide_gate(evaluation, GATE)
    assert (decision.passed, decision.warnings) == (True, ())
    assert "not worse than the champion (tolerance 0.02): auc 0." in decision.reason
    assert f"95 % interval {low:+.4f} to {high:+.4f}" in decision.reason
    samples = [json.loads(line) for line in (jobs.work / "out/evaluation/sample.jsonl").read_text().splitlines()]
    assert len(samples) == 200
    assert all(set(sample) == {"content_type", "body", "prediction"} for sample in samples)
    page = (jobs.work / "out/report/report.html").read_bytes()
    assert page.startswith(b"<!doctype html>")
    assert b">passed</span>" in (fill_report(page, decision.to_dict()) or b"")

    (jobs.work / "evaluate-in/champion/model.tar.gz").write_bytes(b"rotten")
    evaluation = jobs.evaluate("out-2")
    assert (evaluation["champion"], evaluation["comparison"]) == (None, None)
    assert evaluation["champion_error"].startswith("ReadError: ")
    assert evaluation["binary_classification_metrics"] == challenger
    shutil.rmtree(jobs.work / "evaluate-in/champion")
    assert jobs.evaluate("out-3")["champion_error"] is None
    assert jobs.evaluate("out-4", CHAMPION_ERROR="its archive is gone")["champion_error"] == "its archive is gone"


def test_a_worse_log_loss_is_refused(project: ExampleProject) -> None:
    """The skeleton writes it beside the AUC, and less of it is better: nobody has to say so."""
    main(["new", "churn"])
    file = project.root / "models/churn/model.yaml"
    file.write_text(file.read_text().replace("  tolerance:", "  metric: log_loss\n  tolerance:"))
    gate = preview("churn", "test", Period(2013, 3), project.root)["quality_gate"]

    def evaluation(loss: float) -> dict[str, Any]:
        return {"binary_classification_metrics": {"auc": {"value": 0.7}, "log_loss": {"value": loss}}}

    assert not decide_gate({**evaluation(0.60), "champion": evaluation(0.50)}, gate).passed
    assert decide_gate({**evaluation(0.50), "champion": evaluation(0.60)}, gate).passed


def test_its_metrics_are_those_of_scikit_learn(project: ExampleProject) -> None:
    """Ties in the scores included; and its bootstrap is the one that the job's environment asks for."""
    main(["new", "churn"])
    code = """
import json, sys; sys.path.insert(0, sys.argv[1])
import evaluate as e, numpy as np, sklearn.metrics as m
random = np.random.default_rng(0)
labels, scores = random.integers(2, size=400), random.integers(1, 20, size=400) / 20
ours, other = e.measure(labels, scores), e.measure(labels, 1 - scores)
weights = list(e.draws(400))[1]
print(json.dumps([
    [ours["auc"][0], m.roc_auc_score(labels, scores)], [ours["log_loss"][0], m.log_loss(labels, scores)],
    [ours["auc"][1], m.roc_auc_score(labels, scores, sample_weight=weights)],
    [ours["log_loss"][1], m.log_loss(labels, scores, sample_weight=weights)],
    [len(ours["auc"]), 121], [e.compare(ours, other)["auc"]["confidence"], 0.8],
    [e.compare(ours, other)["auc"]["difference"], 2 * ours["auc"][0] - 1],
    [e.measure(np.array([0, 1]), np.array([0.1, 0.2]))["auc"][0], 1.0],
    [e.metrics(e.measure(np.array([0, 1]), np.array([0.1, 0.2])))
        ["binary_classification_metrics"]["auc"]["standard_deviation"], 0.0],
]))
"""
    environment = os.environ | {"BOOTSTRAP_SAMPLES": "120", "BOOTSTRAP_CONFIDENCE": "0.8", "BOOTSTRAP_SEED": "7"}
    command = [str(JOBS_PYTHON), "-c", code, str(project.root / "models/churn")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for found, expected in json.loads(done.stdout):
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("label,a,b,c\n", "has no rows; there is nothing to test on in 2013-03"),
        ("label,a,b,c\n1,1,1,1\n", "labels [1]"),
    ],
)
def test_a_month_that_cannot_be_tested_on(project: ExampleProject, tmp_path: Path, csv: str, said: str) -> None:
    main(["new", "churn"])
    model = project.root / "models/churn"
    answer = "def model_fn(d): return 0\ndef input_fn(b, c): return b\ndef predict_fn(b, m): return [0.5]\n"
    (tmp_path / "code").mkdir()
    (tmp_path / "code/inference.py").write_text(f"FEATURES = ['a', 'b', 'c']\nLABEL = 'label'\n{answer}")
    for folder in ("test", "model"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    (tmp_path / "in/test/data.csv").write_text(csv)
    with tarfile.open(tmp_path / "in/model/model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "code", arcname="code")
    arguments = ["--period", "2013-03", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    command = [str(JOBS_PYTHON), str(model / "evaluate.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_baseline_of_the_example_is_the_skeletons() -> None:
    """The example's file is a link; what `make package` and jobs get is a file of its own, with the same content."""
    example = REPOSITORY / "include/models/flight_delay"
    assert (example / "baseline.py").is_symlink()
    files = dict(package_code(example).files)
    assert files["baseline.py"] == (SKELETON / "baseline.py.txt").read_bytes()
