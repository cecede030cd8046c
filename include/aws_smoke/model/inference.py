"""A probability a row. Answers as plain as they can be: what the container makes of them is the question."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb


def model_fn(model_dir: str) -> xgb.Booster:
    """The booster."""
    return xgb.Booster(model_file=str(Path(model_dir) / "model.json"))


def input_fn(body: str | bytes, content_type: str) -> np.ndarray:
    """Rows `x,y`; anything else raises ValueError, on purpose."""
    text = body.decode() if isinstance(body, bytes) else body
    return np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2)


def predict_fn(rows: np.ndarray, model: xgb.Booster) -> Any:
    """One probability a row."""
    return model.predict(xgb.DMatrix(rows))


def output_fn(predictions: np.ndarray, accept: str) -> str:
    """A str, not a pair with its content type: which one does the container choose?"""
    return "".join(f"{value}\n" for value in predictions)
