"""Answers of a shadow and of production: which belong together, how far they are apart, and the page about it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.data_capture import Event, hourly_prefixes, read_event
from sagemaker_retraining.shadow import compare, pair_up, shadow_report
from sagemaker_retraining.shadow.comparison import numbers, percentile
from sagemaker_retraining.shadow.report import histogram

TRAFFIC: dict[str, Any] = {
    "invocations": 10,
    "errors_4xx": 0,
    "errors_5xx": 1,
    "latency_ms": 2.345,
    "max_latency_ms": 9.0,
}


def event(request: str, answer: str, at: int = 0, inference_id: str | None = None) -> Event:
    return Event(inference_id, f"2026-11-21T10:00:{at:02}Z", request, answer)


def line(data: dict[str, Any], **metadata: str) -> bytes:
    about = {"eventId": "1", "inferenceTime": "2026-11-21T10:00:00Z", **metadata}
    return json.dumps({"captureData": data, "eventMetadata": about, "eventVersion": "0"}).encode()


def direction(text: str, encoding: str = "CSV") -> dict[str, str]:
    data = base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text
    return {"observedContentType": "text/csv", "mode": "INPUT", "data": data, "encoding": encoding}


@pytest.mark.parametrize("encoding", ["CSV", "JSON", "BASE64"])
def test_an_event_is_read_in_every_encoding(encoding: str) -> None:
    data = {"endpointInput": direction("1,2", encoding), "endpointOutput": direction("0.5", encoding)}
    assert read_event(line(data)) == Event(None, "2026-11-21T10:00:00Z", "1,2", "0.5")
    assert read_event(line(data, inferenceId="abc")) == Event("abc", "2026-11-21T10:00:00Z", "1,2", "0.5")


def test_half_an_event_compares_with_nothing() -> None:
    assert read_event(line({"endpointOutput": direction("0.5")})) is None


def test_the_hours_of_a_window() -> None:
    start, end = datetime(2026, 12, 31, 22, 59, tzinfo=UTC), datetime(2027, 1, 1, 0, 1, tzinfo=UTC)
    assert list(hourly_prefixes("s3://b/capture/", "e", "Main", start, end)) == [
        "s3://b/capture/e/Main/2026/12/31/22/",
        "s3://b/capture/e/Main/2026/12/31/23/",
        "s3://b/capture/e/Main/2027/01/01/00/",
    ]


def test_the_same_request_makes_a_pair() -> None:
    production = [event("a", "1", 1), event("b", "2", 2), event("a", "3", 3), event("c", "4", 4)]
    shadow = [event("a", "30", 9), event("a", "10", 2), event("b", "20", 5), event("x", "0", 5)]
    pairs = [(old.answer, new.answer) for old, new in pair_up(production, shadow)]
    assert pairs == [("1", "10"), ("2", "20"), ("3", "30")]


def test_an_inference_id_comes_before_the_body() -> None:
    production = [event("a", "1", 1, "first"), event("a", "2", 2, "second")]
    shadow = [event("a", "20", 1, "second"), event("a", "10", 2, "first")]
    assert [(old.answer, new.answer) for old, new in pair_up(production, shadow)] == [("1", "10"), ("2", "20")]


def test_how_far_apart() -> None:
    answers = [
        ("a", "1.0", "1.0"),
        ("b", "2.0", "2.5"),
        ("c\nd", "3\n4", "3\n2"),
        ("e", "yes", "no"),
        ("f", "1", "1,2"),
    ]
    found = compare([(event(row, old), event(row, new)) for row, old, new in answers], tolerance=1e-6)
    assert (found["pairs"], found["predictions"], found["not_numbers"]) == (5, 4, 2)
    assert found["same_share"] == 0.5
    assert found["difference"] == {"mean": -0.375, "p50": 0.0, "p90": 2.0, "p99": 2.0, "max": 2.0}
    assert found["production"]["mean"] == 2.5
    assert found["largest"][0] == ("d", 4.0, 2.0), "of several rows the one that differs"
    assert found["correlation"] == pytest.approx(0.529, abs=0.001)


def test_nothing_to_compare_is_no_error() -> None:
    found = compare([], tolerance=0)
    assert found["same_share"] is found["correlation"] is found["difference"]["mean"] is None
    assert json.loads(json.dumps(found, allow_nan=False))["pairs"] == 0
    assert "No request was captured of both variants" in page(found)


def test_a_model_that_always_says_the_same() -> None:
    found = compare([(event("a", "1"), event("a", "1")), (event("b", "1"), event("b", "2"))], tolerance=0)
    assert found["correlation"] is None
    assert "<svg" in page(found)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_figures_of_any_numbers_are_json_and_a_page(values: list[tuple[float, float]]) -> None:
    pairs = [(event(str(row), repr(old)), event(str(row), repr(new))) for row, (old, new) in enumerate(values)]
    found = compare(pairs, tolerance=1e-6)
    json.dumps(found, allow_nan=False)
    assert found["predictions"] == len(values)
    assert found["difference"]["p50"] <= found["difference"]["p90"] <= found["difference"]["max"]
    picture = histogram([("red", [old for old, _ in values]), ("blue", [new for _, new in values])])
    assert "nan" not in picture
    assert "inf" not in picture


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("0.5\n", [0.5]), ("[1, 2]", [1, 2]), ("1\n2\n", [1, 2]), ("nan", None), ("", None), ('{"p": 1}', None)],
)
def test_what_counts_as_numbers(answer: str, expected: list[float] | None) -> None:
    assert numbers(answer) == expected


def test_the_nearest_rank() -> None:
    assert [percentile([1, 2, 3, 4], percent) for percent in (1, 50, 75, 99)] == [1, 2, 3, 4]


def page(found: dict[str, Any], hours: float = 24.0) -> str:
    return shadow_report(
        {
            **found,
            "endpoint": "demo",
            "hours": hours,
            "versions": {"production": "demo/1", "shadow": "demo/2"},
            "traffic": {"production": TRAFFIC, "shadow": {**TRAFFIC, "latency_ms": None, "max_latency_ms": None}},
        }
    )


def test_an_hour_and_less_and_long_requests_are_readable() -> None:
    found = compare([], tolerance=0)
    assert "24.0 hours" in page(found)
    assert "1.5 minutes" in page(found, hours=0.025)
    assert "overflow-wrap: anywhere" in page(found), "a row of thirty numbers has no blank to break at"


def test_the_page_says_what_was_found_and_runs_no_script() -> None:
    text = page(compare([(event("<script>", "1"), event("<script>", "2"))], tolerance=0))
    assert "demo/2 in the shadow of demo/1" in text
    assert "2.3 ms" in text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
