"""Does monthly retraining pay? AUC for each month of 2013 of a model trained on the months before it, next to one that
was trained once, after February, and never again.

    .venv-jobs/bin/python include/models/flight_delay/backtest.py

Uses the functions of preprocess.py and train.py with the default hyperparameters. Prints a table and writes it to
`.local/backtest.json` in the repository.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")  # see train.py

import pandas as pd
import xgboost as xgb
from features import TARGET, build
from preprocess import split
from sample_data import tables
from sklearn.metrics import roc_auc_score
from train import StopRequest, fit, learn_encodings, matrix, parse_arguments

PERIODS = tuple(f"2013-{month:02}" for month in range(3, 13))
RESULT = Path(__file__).resolve().parents[3] / ".local" / "backtest.json"

Trained = tuple[xgb.Booster, dict[str, list[str]]]
"""A model and its encodings."""


def main() -> None:
    """Train ten models, print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file with the result")
    output: Path = parser.parse_args().output
    started = time.monotonic()
    print("Building features for the year", flush=True)
    rows = build(**tables())
    frozen: Trained | None = None
    results = []
    print(
        f"\n{'tested on':<10} {'trained on':>11} {'late':>6} {'retrained':>10} {'frozen':>7} {'gain':>7} {'seconds':>8}"
    )
    for period in PERIODS:
        began = time.monotonic()
        sets = split(rows, period)
        model = train(sets)
        frozen = frozen or model
        row = {
            "period": period, "train_rows": len(sets["train"]), "late_share": float(sets["test"][TARGET].mean()),
            "retrained": auc(model, sets["test"]), "frozen": auc(frozen, sets["test"]),
        }  # fmt: skip
        results.append(row)
        print(line(row, f"{time.monotonic() - began:.1f}"), flush=True)
    mean = {name: sum(row[name] for row in results) / len(results) for name in ("retrained", "frozen")}
    print(f"{'mean':<10} {'':>11} {'':>6} {mean['retrained']:>10.4f} {mean['frozen']:>7.4f} "
          f"{mean['retrained'] - mean['frozen']:>+7.4f} {time.monotonic() - started:>8.1f}")  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"mean": mean, "periods": results}, indent=2))
    print(f"\nWritten to {output}")


def train(sets: dict[str, pd.DataFrame]) -> Trained:
    """Train as the training job does; its own lines are left out."""
    encodings = learn_encodings(sets["train"])
    with tempfile.TemporaryDirectory() as checkpoints, contextlib.redirect_stdout(io.StringIO()):
        arguments = parse_arguments(["--checkpoint_dir", checkpoints])
        booster = fit(sets["train"], sets["validation"], encodings, arguments, StopRequest())
    if booster is None:
        raise SystemExit("stopped")
    return booster, encodings


def auc(model: Trained, test: pd.DataFrame) -> float:
    """Area under the ROC curve of a model on a month."""
    booster, encodings = model
    return float(roc_auc_score(test[TARGET], booster.predict(matrix(test, encodings))))


def line(row: dict[str, float], seconds: str) -> str:
    """One line of the table."""
    return (
        f"{row['period']:<10} {row['train_rows']:>11,} {row['late_share']:>6.1%} {row['retrained']:>10.4f} "
        f"{row['frozen']:>7.4f} {row['retrained'] - row['frozen']:>+7.4f} {seconds:>8}"
    )


if __name__ == "__main__":
    main()
