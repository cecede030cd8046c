"""evaluate.py: the numbers are right, the sample is what an endpoint answers, and a champion is compared in pairs."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from sagemaker_retraining.config.metrics import known_metrics
from sagemaker_retraining.gate import decide_gate, fill_report
from tests.kits import flight_delay_kit as kit

GATE = {
    "problem": "binary_classification", "minimum": {"auc": 0.6}, "maximum": {"log_loss": 0.7}, "metric": "auc",
    "direction": "maximize", "require": "better", "tolerance": 0.005, "on_failure": "fail", "champion": "arn",
}  # fmt: skip
NAMES = ("auc", "average_precision", "accuracy", "precision", "recall", "f1", "log_loss", "brier")


@pytest.fixture(scope="module")
def champion(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weaker model, in the folder that holds its model.tar.gz."""
    base = tmp_path_factory.mktemp("champion")
    done = kit.train(sets, base / "model", base / "checkpoints", "--num_round", "3")
    assert done.returncode == 0, done.stderr
    shutil.make_archive(str(base / "model"), "gztar", base / "model")
    return base


@pytest.fixture(scope="module")
def compared(trained: Path, sets: Path, champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an evaluation with a champion."""
    base = inputs(tmp_path_factory.mktemp("compared"), trained, sets, champion)
    done = kit.evaluate(base, "2013-02")
    assert done.returncode == 0, done.stderr
    return base / "processing/output"


def test_metrics_are_those_of_scikit_learn(compared: Path, trained: Path, sets: Path) -> None:
    """Our weighted, vectorised metrics against the library's, ties in the scores included."""
    expected = kit.jobs_python(
        """
import importlib.util, json
import numpy as np, pandas as pd, sklearn.metrics as m, train, xgboost as xgb
model_dir, test_dir = sys.argv[1:3]
described = json.load(open(model_dir + "/features.json"))
rows = pd.read_parquet(test_dir); late = rows["late"].to_numpy()
p = xgb.Booster(model_file=model_dir + "/model.ubj").predict(train.matrix(rows, described["encodings"])).astype(float)
said = p >= described["threshold"]
print(json.dumps({"auc": m.roc_auc_score(late, p), "average_precision": m.average_precision_score(late, p),
  "accuracy": m.accuracy_score(late, said), "precision": m.precision_score(late, said),
  "recall": m.recall_score(late, said),
  "f1": m.f1_score(late, said), "f2": m.fbeta_score(late, said, beta=2), "log_loss": m.log_loss(late, p),
  "brier": m.brier_score_loss(late, p), "confusion": m.confusion_matrix(late, said).tolist()}))
""",
        trained / "model", sets / "test",
    )  # fmt: skip
    found = evaluation(compared)["binary_classification_metrics"]
    values = {name for name, entry in found.items() if "value" in entry}
    assert values <= set(known_metrics("binary_classification")), "the gate knows their direction"
    confusion = expected.pop("confusion")
    assert [[found["confusion_matrix"][was][said] for said in "01"] for was in "01"] == confusion
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-6), name


def test_evaluation_has_every_metric_with_its_uncertainty(compared: Path) -> None:
    """Value and standard deviation for both models, curves of equal length, and the holdout."""
    found = evaluation(compared)
    for metrics in (found["binary_classification_metrics"], found["champion"]["binary_classification_metrics"]):
        assert all(0 < metrics[name]["standard_deviation"] < 0.2 for name in NAMES)
        curve = metrics["receiver_operating_characteristic_curve"]
        assert len(curve["false_positive_rates"]) == len(curve["true_positive_rates"]) == 100
    assert found["holdout"] == {"period": "2013-02", "rows": 23611, "positives": 5615, "days": 28}


def test_comparison_is_paired(compared: Path) -> None:
    """The difference is that of the values; its spread is smaller than that of two models on days of their own."""
    found = evaluation(compared)
    change = found["comparison"]["auc"]
    ours, theirs = (
        part["binary_classification_metrics"]["auc"] for part in (found, found["champion"])
    )  # fmt: skip
    low, high = change["confidence_interval"]
    assert change["difference"] == pytest.approx(ours["value"] - theirs["value"])
    assert 0 < low < change["difference"] < high
    assert change["standard_deviation"] < 0.9 * math.hypot(ours["standard_deviation"], theirs["standard_deviation"])


def test_sample_is_what_the_artefact_answers(compared: Path, trained: Path) -> None:
    """200 CSV requests; the artefact's own code answers each with exactly the recorded prediction."""
    lines = [json.loads(line) for line in (compared / "evaluation/sample.jsonl").read_text().splitlines()]
    assert len(lines) == 200
    assert {line["content_type"] for line in lines} == {"text/csv"}
    answers = kit.jobs_python(
        """
import json
import math
sys.path.insert(0, sys.argv[1] + "/code")
import inference
model = inference.model_fn(sys.argv[1])
lines = [json.loads(line) for line in open(sys.argv[2])]
def answer(body):
    text, kind = inference.output_fn(inference.predict_fn(inference.input_fn(body, "text/csv"), model), "text/csv")
    return text
print(json.dumps([float(answer(line["body"])) for line in lines]))
""",
        trained / "model", compared / "evaluation/sample.jsonl",
    )  # fmt: skip
    assert answers == [line["prediction"] for line in lines]


def test_report_is_one_file_with_its_pictures(compared: Path) -> None:
    """No reference to another file or host; the pictures are there as PNG as well."""
    page = (compared / "report/report.html").read_text()
    pictures = {file.stem for file in (compared / "report").glob("*.png")}
    assert pictures == {"roc", "precision_recall", "calibration", "scores", "importance", "by_day"}
    assert page.count('src="data:image/png;base64,') == len(pictures) == page.count("src=")
    assert "http" not in page
    assert "It is <b>better</b>" in page
    assert "$" not in page


def test_first_run_has_no_champion(trained: Path, sets: Path, tmp_path: Path) -> None:
    """Null where a champion would be; same challenger, same numbers."""
    base = inputs(tmp_path, trained, sets, None)
    done = kit.evaluate(base, "2013-02")
    assert done.returncode == 0, done.stderr
    found = evaluation(base / "processing/output")
    assert found["champion"] is None
    assert found["comparison"] is None
    assert "There is no champion yet" in (base / "processing/output/report/report.html").read_text()


def test_champion_with_fewer_features_from_older_code(trained: Path, sets: Path, tmp_path: Path) -> None:
    """Its artefact decides what it reads, here one column, and needs no description of itself."""
    old = tmp_path / "old"
    (old / "model/code").mkdir(parents=True)
    (old / "model/code/inference.py").write_text(
        "import json, numpy\n"
        "def model_fn(folder): return None\n"
        "def input_fn(body, content_type): return json.loads(body)['instances']\n"
        "def predict_fn(rows, model): return numpy.array([row['flight_late_28d'] or 0.2 for row in rows])\n"
    )
    shutil.make_archive(str(old / "model"), "gztar", old / "model")
    base = inputs(tmp_path / "ml", trained, sets, old)
    done = kit.evaluate(base, "2013-02")
    assert done.returncode == 0, done.stderr
    champion = evaluation(base / "processing/output")["champion"]["binary_classification_metrics"]
    assert 0.5 < champion["auc"]["value"] < 0.7


def test_champion_that_cannot_score_is_written_down(trained: Path, sets: Path, tmp_path: Path) -> None:
    """One that needs a column which is gone: the job goes on, and evaluation.json and the report say why it is alone.

    In the same run: the uncertainty is measured as the job's environment says.
    """
    base = inputs(tmp_path / "ml", trained, sets, needs_the_moon(trained, tmp_path / "old"))
    how = {"BOOTSTRAP_CONFIDENCE": "0.9", "BOOTSTRAP_SAMPLES": "120", "BOOTSTRAP_SEED": "7"}
    done = kit.evaluate(base, "2013-02", **how)
    assert done.returncode == 0, done.stderr
    found = evaluation(base / "processing/output")
    assert (found["champion"], found["comparison"]) == (None, None)
    said = found["champion_error"]
    assert "champion/model.tar.gz: cannot score this month (RequestError: row 1 has no moon_phase" in said
    assert found["bootstrap"] == {"confidence": 0.9, "samples": 120, "seed": 7}
    page = (base / "processing/output/report/report.html").read_text()
    assert "The champion could not be scored" in page
    assert "no moon_phase" in page
    assert "over 120 resamples" in page


def test_champion_whose_archive_is_gone_is_written_down(tmp_path: Path) -> None:
    """It is no input of the job, which is told in words: the report must not say that there is none yet."""
    found = kit.jobs_python(
        """
import json, os
from pathlib import Path
import evaluate
nowhere = Path(sys.argv[1])
before = evaluate.score_champion(nowhere / "champion", "", 0, nowhere)
os.environ["CHAMPION_ERROR"] = "its model.tar.gz is gone"
print(json.dumps([before, evaluate.score_champion(nowhere / "champion", "", 0, nowhere)]))
""",
        tmp_path,
    )
    assert found == [[None, None], [None, "its model.tar.gz is gone"]]


def test_challenger_that_cannot_score_is_an_error(trained: Path, sets: Path, tmp_path: Path) -> None:
    """There is nothing to register then."""
    broken = needs_the_moon(trained, tmp_path / "new")
    base = inputs(tmp_path / "ml", broken, sets, None)
    done = kit.evaluate(base, "2013-02")
    assert done.returncode == 1
    assert "model/model.tar.gz: cannot score this month" in (base / "output/message").read_text()
    assert not (base / "processing/output/evaluation").exists()


def needs_the_moon(trained: Path, folder: Path) -> Path:
    """The trained model, but one of its columns is one that no flight has."""
    shutil.copytree(trained / "model", folder / "model")
    described = json.loads((folder / "model/features.json").read_text())
    described["columns"][5] = "moon_phase"
    (folder / "model/features.json").write_text(json.dumps(described))
    shutil.make_archive(str(folder / "model"), "gztar", folder / "model")
    return folder


SERVE = """
def model_fn(folder): {load}
def input_fn(body, content_type): return 3
def predict_fn(rows, model): return {answer}
"""


@pytest.mark.parametrize(
    ("load", "answer", "said"),
    [
        ("pass", "[0.1, 0.2, 0.3]", None),
        ("pass", "[0.1]", "ValueError: predictions of shape (1,) for 3 flights"),
        ("pass", "[0.1, float('nan'), 0.3]", "ValueError: predictions that are no probabilities from 0 to 1"),
        ("pass", "[0.1, 1.1, 0.3]", "ValueError: predictions that are no probabilities"),
        ("pass", "['late'] * 3", "ValueError: could not convert string to float"),
        ("import sys; sys.exit(3)", "[]", "SystemExit: 3"),
        ("import moon", "[]", "ModuleNotFoundError: No module named 'moon'"),
        (None, None, "FileNotFoundError"),
    ],
)
def test_what_a_champion_can_have_wrong(tmp_path: Path, load: str | None, answer: str | None, said: str | None) -> None:
    """None of it ends the job; the reason is kept."""
    champion = tmp_path / "champion"
    champion.mkdir()
    if load:
        (tmp_path / "model/code").mkdir(parents=True)
        (tmp_path / "model/code/inference.py").write_text(SERVE.format(load=load, answer=answer))
        shutil.make_archive(str(champion / "model"), "gztar", tmp_path / "model")
    scored, error = kit.jobs_python(
        "import json, pathlib, tempfile, evaluate\n"
        "scored, error = evaluate.score_champion(pathlib.Path(sys.argv[1]), '', 3, pathlib.Path(tempfile.mkdtemp()))\n"
        "print(json.dumps([scored and scored.scores.tolist(), error]))",
        champion,
    )
    if said is None:
        assert (scored, error) == ([0.1, 0.2, 0.3], None)
    else:
        assert scored is None
        assert error.startswith(f"{champion}/model.tar.gz: cannot score this month ({said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("table = table.head(0)", "has no rows; there is nothing to test on in 2013-02"),
        ("table['late'] = 1.0", "column late holds [1.0]; a test needs late (1) and punctual (0) flights"),
    ],
)
def test_month_that_cannot_be_tested_on(trained: Path, sets: Path, tmp_path: Path, change: str, said: str) -> None:
    """An empty one, and one in which nothing differs."""
    base = inputs(tmp_path, trained, sets, None)
    (base / "processing/input/test").unlink()
    (base / "processing/input/test").mkdir()
    kit.jobs_python(
        f"import json, pandas\ntable = pandas.read_parquet(sys.argv[1])\n{change}\n"
        "table.to_parquet(sys.argv[2])\nprint(json.dumps(None))",
        sets / "test/test.parquet", base / "processing/input/test/test.parquet",
    )  # fmt: skip
    done = kit.evaluate(base, "2013-02")
    assert done.returncode == 1
    assert said in (base / "output/message").read_text()
    assert not (base / "processing/output/evaluation").exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BOOTSTRAP_SAMPLES", "many", "BOOTSTRAP_SAMPLES is 'many'; expected a number such as 500"),
        ("BOOTSTRAP_SAMPLES", "1", "expected 0.5 < confidence < 1, samples from 2, seed from 0"),
        ("BOOTSTRAP_CONFIDENCE", "95", "expected 0.5 < confidence < 1"),
    ],
)
def test_wrong_bootstrap_is_refused_before_any_work(tmp_path: Path, variable: str, value: str, said: str) -> None:
    """The environment may be the model's own: `evaluate.environment` in model.yaml."""
    done = kit.evaluate(tmp_path / "ml", "2013-02", **{variable: value})
    assert done.returncode == 1
    assert said in (tmp_path / "ml/output/message").read_text()


def test_the_gate_reads_what_is_written(compared: Path) -> None:
    """From the job's files to the decision, which finds its place in the report."""
    decision = decide_gate(evaluation(compared), GATE)
    assert (decision.passed, decision.warnings) == (True, ())
    assert "better than the champion: auc 0." in decision.reason
    page = fill_report((compared / "report/report.html").read_bytes(), decision.to_dict())
    assert page is not None
    assert page.count(b'<section class="decision"><h2>Quality gate: ') == 1


def test_constraints_leave_room_for_chance(compared: Path) -> None:
    """In Model Monitor's format; the month itself keeps them, whichever way is better."""
    written = json.loads((compared / "evaluation/constraints.json").read_text())
    limits = written["binary_classification_constraints"]
    metrics = evaluation(compared)["binary_classification_metrics"]
    assert set(limits) < set(metrics)
    for name, limit in limits.items():
        assert set(limit) == {"threshold", "comparison_operator"}
        above = limit["comparison_operator"] == "GreaterThanThreshold"
        assert above == (name in ("false_positive_rate", "false_negative_rate"))
        distance = (limit["threshold"] - metrics[name]["value"]) * (1 if above else -1)
        assert distance == pytest.approx(3 * metrics[name]["standard_deviation"])


def test_weights_draw_whole_days_and_single_flights_on_a_lone_day() -> None:
    """All flights of a drawn day come together; a month of one day has no days to draw from."""
    days, lone, again = kit.jobs_python(
        "import json, pandas as pd, metrics\n"
        "how = metrics.Bootstrap(samples=50)\n"
        "two = pd.Series(pd.to_datetime(['2013-02-01'] * 3 + ['2013-02-02'] * 2))\n"
        "draw = lambda dates: metrics.day_weights(dates, how).tolist()\n"
        "print(json.dumps([draw(two), draw(two.head(3)), draw(two)]))"
    )
    assert days == again
    assert days[0] == lone[0][:1] * 5 == [1] * 5
    assert all(row[0] == row[1] == row[2] and row[3] == row[4] and row[0] + row[3] == 2 for row in days)
    assert {row[0] for row in days} == {0, 1, 2}
    assert all(sum(row) == 3 for row in lone)
    assert any(len(set(row)) > 1 for row in lone)


def test_other_month_than_asked_for(trained: Path, sets: Path, tmp_path: Path) -> None:
    """A test set of February cannot answer for March."""
    done = kit.evaluate(inputs(tmp_path, trained, sets, None), "2013-03")
    assert done.returncode == 1
    assert "holds flights of 2013-02; --period is 2013-03" in done.stderr


def inputs(base: Path, challenger: Path, sets: Path, champion: Path | None) -> Path:
    """`base` as /opt/ml with the inputs of an evaluation."""
    folder = base / "processing/input"
    folder.mkdir(parents=True)
    (folder / "test").symlink_to(sets / "test")
    for name, source in {"model": challenger, "champion": champion}.items():
        if source:
            (folder / name).mkdir()
            (folder / name / "model.tar.gz").symlink_to(source / "model.tar.gz")
    return base


def evaluation(output: Path) -> dict[str, Any]:
    """evaluation.json."""
    found: dict[str, Any] = json.loads((output / "evaluation/evaluation.json").read_text())
    return found
