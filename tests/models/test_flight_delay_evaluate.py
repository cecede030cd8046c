"""evaluate.py: the numbers are right, the sample is what an endpoint answers, and a champion is compared in pairs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.models import flight_delay_kit as kit

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
    """The difference is that of the values; its spread is smaller than either model's, the days being the same."""
    found = evaluation(compared)
    change = found["comparison"]["auc"]
    ours, theirs = (
        part["binary_classification_metrics"]["auc"] for part in (found, found["champion"])
    )  # fmt: skip
    low, high = change["confidence_interval"]
    assert change["difference"] == pytest.approx(ours["value"] - theirs["value"])
    assert 0 < low < change["difference"] < high
    assert change["standard_deviation"] < min(ours["standard_deviation"], theirs["standard_deviation"])


def test_sample_is_what_the_artefact_answers(compared: Path, trained: Path) -> None:
    """200 CSV requests; the artefact's own code answers each with exactly the recorded prediction."""
    lines = [json.loads(line) for line in (compared / "evaluation/sample.jsonl").read_text().splitlines()]
    assert len(lines) == 200
    assert {line["content_type"] for line in lines} == {"text/csv"}
    answers = kit.jobs_python(
        """
import json
sys.path.insert(0, sys.argv[1] + "/code")
import inference
model = inference.model_fn(sys.argv[1])
lines = [json.loads(line) for line in open(sys.argv[2])]
answer = lambda body: inference.output_fn(inference.predict_fn(inference.input_fn(body, "text/csv"), model), "text/csv")
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


def test_champion_that_cannot_score_is_named(trained: Path, sets: Path, tmp_path: Path) -> None:
    """A champion that needs a column which is gone stops the run; comparing with nothing would pass any challenger."""
    old = tmp_path / "old"
    shutil.copytree(trained / "model", old / "model")
    described = json.loads((old / "model/features.json").read_text())
    described["columns"][5] = "moon_phase"
    (old / "model/features.json").write_text(json.dumps(described))
    shutil.make_archive(str(old / "model"), "gztar", old / "model")
    base = inputs(tmp_path / "ml", trained, sets, old)
    done = kit.evaluate(base, "2013-02")
    assert done.returncode == 1
    reason = (base / "output/message").read_text()
    assert "champion/model.tar.gz: cannot score this month (ValueError: row 1 has no moon_phase" in reason
    assert not (base / "processing/output/evaluation").exists()


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
