"""Load the weights and answer requests."""

from __future__ import annotations

import json
import math
from pathlib import Path

from werkzeug.wrappers import Response

MODEL_FILE = "weights.json"


def probability(weights: list[float], x: float, y: float) -> float:
    """That the point is on the positive side."""
    return 1 / (1 + math.exp(-(weights[0] * x + weights[1] * y + weights[2])))


def model_fn(model_dir: str) -> list[float]:
    """The weights that train.py saved."""
    weights: list[float] = json.loads((Path(model_dir) / MODEL_FILE).read_text())
    return weights


def input_fn(body: str | bytes, content_type: str) -> list[tuple[float, float]] | ValueError:
    """CSV lines `x,y`; or what is wrong with them, which `output_fn` answers with."""
    text = body.decode() if isinstance(body, bytes) else body
    try:
        return [(float(x), float(y)) for x, y in (line.split(",") for line in text.split())]
    except ValueError as error:
        return error


def predict_fn(rows: list[tuple[float, float]] | ValueError, model: list[float]) -> list[float] | ValueError:
    """One probability a row."""
    if isinstance(rows, ValueError):
        return rows
    return [probability(model, x, y) for x, y in rows]


def output_fn(predictions: list[float] | ValueError, accept: str) -> tuple[str, str] | Response:
    """One number a line, with the content type that the image would not know."""
    if isinstance(predictions, ValueError):
        return Response(str(predictions), 400, mimetype="text/plain")
    return "\n".join(map(repr, predictions)) + "\n", "text/csv"
