"""Load the weights and answer requests."""

from __future__ import annotations

import json
import math
from pathlib import Path

MODEL_FILE = "weights.json"


def probability(weights: list[float], x: float, y: float) -> float:
    """That the point is on the positive side."""
    return 1 / (1 + math.exp(-(weights[0] * x + weights[1] * y + weights[2])))


def model_fn(model_dir: str) -> list[float]:
    """The weights that train.py saved."""
    weights: list[float] = json.loads((Path(model_dir) / MODEL_FILE).read_text())
    return weights


def input_fn(body: str | bytes, content_type: str) -> list[tuple[float, float]]:
    """CSV lines `x,y`."""
    text = body.decode() if isinstance(body, bytes) else body
    rows = [line.split(",") for line in text.split()]
    return [(float(x), float(y)) for x, y in rows]


def predict_fn(rows: list[tuple[float, float]], model: list[float]) -> list[float]:
    """One probability a row."""
    return [probability(model, x, y) for x, y in rows]


def output_fn(predictions: list[float], accept: str) -> str:
    """One number a line."""
    return "\n".join(map(repr, predictions)) + "\n"
