"""Three rounds of XGBoost, whose own log lines carry the metrics."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import xgboost as xgb


def main() -> None:
    """Train and save the model with the code that serves it."""
    train, validation = channel("train"), channel("validation")
    parameters = {"objective": "binary:logistic", "eval_metric": "auc", "max_depth": 2}
    booster = xgb.train(parameters, train, num_boost_round=3, evals=[(train, "train"), (validation, "validation")])
    folder = Path(os.environ["SM_MODEL_DIR"])
    (folder / "code").mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.json")
    shutil.copy(Path(__file__).with_name("inference.py"), folder / "code")


def channel(name: str) -> xgb.DMatrix:
    """The rows of a channel: label, x, y."""
    rows = np.loadtxt(Path(os.environ[f"SM_CHANNEL_{name.upper()}"]) / "rows.csv", delimiter=",", ndmin=2)
    return xgb.DMatrix(rows[:, 1:], label=rows[:, 0])


if __name__ == "__main__":
    main()
