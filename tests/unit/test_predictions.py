"""Answers of models as numbers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.predictions import predictions

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("0.5", [0.5]),
        ("0.5\n", [0.5]),
        ("1,2\n3", [1, 2, 3]),
        ("[0.25, 1e-3]", [0.25, 0.001]),
        ("[[0.25], [0.5]]", [0.25, 0.5]),
        ('{"predictions": [0.25, 0.5]}', [0.25, 0.5]),
        ('{"predictions": [{"score": 0.25, "predicted_label": 1}]}', [0.25]),
        ('{"predictions": 0.5}', [0.5]),
        ("0.25\n0.5\n", [0.25, 0.5]),
        ("[0.25]\n[0.5]", [0.25, 0.5]),
        ('{"score": 0.25}\n{"score": 0.5}\n', [0.25, 0.5]),
        ('{"predictions": [0.25]}\n{"predictions": [0.5]}', [0.25, 0.5]),
    ],
)
def test_numbers_are_read(answer: str, expected: list[float]) -> None:
    assert predictions(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "late",
        "true",
        "null",
        "[null]",
        '["0.5"]',
        '{"y": [0.5]}',
        '{"predictions": [true]}',
        "1;2",
        "<html>",
        "[" * 100_000,
        "1" + "0" * 400 + "!",
    ],
)
def test_anything_else_is_none(answer: str) -> None:
    assert predictions(answer) is None


def test_what_is_not_finite_is_told() -> None:
    for answer in ("nan", "NaN", '{"predictions": [NaN]}'):
        [found] = predictions(answer) or []
        assert math.isnan(found)


@given(NUMBERS)
def test_every_format_says_the_same(values: list[float]) -> None:
    for answer in (
        ",".join(map(repr, values)),
        "\n".join(map(repr, values)),
        json.dumps(values),
        json.dumps({"predictions": values}),
        "\n".join(json.dumps({"score": value}) for value in values),
    ):
        assert predictions(answer) == values
