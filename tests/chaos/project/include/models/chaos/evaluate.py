"""AUC of the new model and of the champion, the sample for verify, and a report."""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from inference import model_fn, predict_fn

INPUT = Path("/opt/ml/processing/input")
OUTPUT = Path("/opt/ml/processing/output")
SAMPLE_ROWS = 10


def main() -> None:
    """Evaluate on the period's month."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--period", required=True)
    period = parser.parse_args().period

    lines = (INPUT / "test" / "data.csv").read_text().split()
    rows = [[float(value) for value in line.split(",")] for line in lines]
    predictions = predict_fn([(x, y) for x, y, _ in rows], load(INPUT / "model" / "model.tar.gz"))
    labels = [int(label) for _, _, label in rows]
    champion = INPUT / "champion" / "model.tar.gz"
    old = predict_fn([(x, y) for x, y, _ in rows], load(champion)) if champion.exists() else None
    evaluation = {
        **metrics(labels, predictions),
        "champion": metrics(labels, old) if old else None,
        "holdout": {"period": period, "rows": len(rows), "positives": sum(labels)},
    }
    sample = [
        {"content_type": "text/csv", "body": line.rpartition(",")[0], "prediction": prediction}
        for line, prediction in list(zip(lines, predictions, strict=True))[:SAMPLE_ROWS]
    ]
    text = json.dumps(evaluation, indent=2)
    write("evaluation/evaluation.json", text)
    write("evaluation/sample.jsonl", "".join(json.dumps(row) + "\n" for row in sample))
    write("report/report.html", f"<!doctype html><title>Evaluation</title><pre>{text}</pre>")


def load(archive: Path) -> list[float]:
    """The weights in a model.tar.gz."""
    folder = tempfile.mkdtemp()
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return model_fn(folder)


def metrics(labels: list[int], predictions: list[float]) -> dict[str, Any]:
    """In SageMaker's model-quality format; AUC by counting pairs."""
    positive = [p for p, label in zip(predictions, labels, strict=True) if label]
    negative = [p for p, label in zip(predictions, labels, strict=True) if not label]
    auc = sum(p > n for p in positive for n in negative) / (len(positive) * len(negative))
    return {"binary_classification_metrics": {"auc": {"value": auc, "standard_deviation": "NaN"}}}


def write(name: str, text: str) -> None:
    """A file of the outputs."""
    file = OUTPUT / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


if __name__ == "__main__":
    main()
