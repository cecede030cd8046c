"""Serve the model: the functions that the container of SageMaker's image calls. Imports nothing of its siblings.

Requests are `text/csv` (one flight per line, no header, columns in the order of `features.json`, an empty field is a
missing value) or `application/json` (`{"instances": [{"carrier": "UA", …}]}`, null is a missing value; columns that the
model does not know are ignored, so that one request suits two models). Answers are the probability that each flight
arrives 15 or more minutes late, at full precision: one per line in CSV, `{"predictions": [{"probability": 0.1234}]}`
in JSON.

A request that is wrong is answered with a status 4xx and a sentence that says what would be right. The container makes
of whatever `input_fn` or `predict_fn` raises a 500 without a reason, which counts as the model's own failure in every
alarm on errors; so they return the `RequestError`, and `output_fn` answers with it.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from werkzeug.wrappers import Response

CSV, JSON = "text/csv", "application/json"


class RequestError(ValueError):
    """The request is wrong; the text says what would be right, `status` is the HTTP status to answer with."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Model:
    """A loaded artefact: the booster, its columns in order and, for categorical ones, the code of each known value."""

    booster: xgb.Booster
    columns: list[str]
    codes: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Rows:
    """Parsed flights, one list of texts or numbers each: in the model's column order, or by name."""

    rows: list[list[Any]] | list[dict[str, Any]]


def model_fn(model_dir: str) -> Model:
    """Load what train.py wrote."""
    described = json.loads((Path(model_dir) / "features.json").read_text())
    booster = xgb.Booster({"nthread": 1}, model_file=Path(model_dir) / "model.ubj")
    codes = {name: {value: code for code, value in enumerate(known)} for name, known in described["encodings"].items()}
    return Model(booster, described["columns"], codes)


def input_fn(body: str | bytes, content_type: str) -> Rows | RequestError:
    """The rows of a request, or what is wrong with it."""
    try:
        return read(body, media_type(content_type))
    except RequestError as error:
        return error


def predict_fn(data: Rows | RequestError, model: Model) -> np.ndarray | RequestError:
    """The probability of arriving late for each row, float32; or what is wrong with the request."""
    if isinstance(data, RequestError):
        return data
    try:
        values = np.array([encode(row, number, model) for number, row in enumerate(data.rows, 1)], dtype=np.float32)
    except RequestError as error:
        return error
    return model.booster.inplace_predict(values, validate_features=False)


def output_fn(prediction: np.ndarray | RequestError, accept: str) -> tuple[str, str] | Response:
    """The answer and its content type, without which it would leave as HTML; or a status 4xx with its reason."""
    if isinstance(prediction, RequestError):
        return Response(str(prediction), prediction.status, mimetype="text/plain")
    probabilities = [float(value) for value in prediction]
    kind = media_type(accept)
    if kind in (CSV, "*/*"):
        return "".join(f"{value!r}\n" for value in probabilities), CSV
    if kind == JSON:
        return json.dumps({"predictions": [{"probability": value} for value in probabilities]}), JSON
    return Response(f"accept {accept!r} is not offered; ask for {CSV} or {JSON}", 406, mimetype="text/plain")


def read(body: str | bytes, kind: str) -> Rows:
    """Parse a request of a media type. Raises RequestError."""
    try:
        text = body.decode() if isinstance(body, bytes | bytearray) else body
        if kind == CSV:
            rows: list[Any] = [row for row in csv.reader(text.splitlines()) if row]
        elif kind == JSON:
            document = json.loads(text)
            rows = document.get("instances") if isinstance(document, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise RequestError('a JSON request must look like {"instances": [{"<column>": <value>, …}, …]}')
        else:
            raise RequestError(f"content type {kind!r} is not supported; send {CSV} or {JSON}", 415)
    except (json.JSONDecodeError, UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise RequestError(f"the request is no {kind}: {error}") from error
    if not rows:
        raise RequestError("the request holds no rows; send at least one flight")
    return Rows(rows)


def media_type(header: str) -> str:
    """The type in a Content-Type or Accept header, without its parameters."""
    return header.split(";", maxsplit=1)[0].strip().lower()


def encode(row: list[str] | dict[str, Any], number: int, model: Model) -> list[float]:
    """One row as numbers, in the model's column order. Raises RequestError that names row and column."""
    if isinstance(row, dict):
        if absent := [name for name in model.columns if name not in row]:
            raise RequestError(f"row {number} has no {', '.join(absent)}; send null for a value that is not known")
        row = [row[name] for name in model.columns]
    elif len(row) != len(model.columns):
        raise RequestError(
            f"row {number} has {len(row)} columns; expected {len(model.columns)}: {', '.join(model.columns)}"
        )
    return [code_of(value, name, number, model.codes) for name, value in zip(model.columns, row, strict=True)]


def code_of(value: Any, name: str, number: int, codes: dict[str, dict[str, int]]) -> float:
    """One value as a number; missing values, and categories not seen in training, are NaN."""
    if value is None or value == "":
        return math.nan
    if name in codes:
        return codes[name].get(str(value), math.nan)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(f"row {number}, column {name}: {value!r} is not a number") from None
