"""Airflow's REST API on SQLite: a busy database answers 5xx, and the laptop's client asks again."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from include.laptop.stack import airflow_api
from include.laptop.stack.airflow_api import LOCKED_TRIES, AirflowApi


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[AirflowApi, list[str]]]:
    """`answering(500, 200)`: a client whose calls after the login get these answers, and the calls it made."""
    monkeypatch.setattr(airflow_api, "LOCKED_PAUSE_SECONDS", 0)
    real = httpx.Client

    def make(*statuses: int) -> tuple[AirflowApi, list[str]]:
        calls: list[str] = []
        left = list(statuses)

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/auth/token":
                return httpx.Response(201, json={"access_token": "t"})
            calls.append(f"{request.method} {request.url.path}")
            return httpx.Response(left.pop(0) if len(left) > 1 else left[0], json={"id": 7})

        transport = httpx.MockTransport(answer)
        monkeypatch.setattr(httpx, "Client", lambda **options: real(**options, transport=transport))
        return AirflowApi("http://airflow", "admin", "admin"), calls

    return make


def test_cancelling_is_tried_until_the_database_is_free(answering: Callable[..., tuple[AirflowApi, list[str]]]) -> None:
    api, calls = answering(500, 503, 200)
    api.cancel_backfill(2)
    assert calls == ["PUT /api/v2/backfills/2/cancel"] * 3


def test_a_backfill_that_is_over_is_cancelled_already(answering: Callable[..., tuple[AirflowApi, list[str]]]) -> None:
    api, _ = answering(409)
    api.cancel_backfill(2)


def test_a_wrong_request_is_not_repeated(answering: Callable[..., tuple[AirflowApi, list[str]]]) -> None:
    api, calls = answering(404)
    with pytest.raises(httpx.HTTPStatusError):
        api.give_up("dag", "run")
    assert len(calls) == 1


def test_patience_ends(answering: Callable[..., tuple[AirflowApi, list[str]]]) -> None:
    api, calls = answering(500)
    with pytest.raises(httpx.HTTPStatusError):
        api.unpause("dag")
    assert len(calls) == LOCKED_TRIES


def test_creating_is_repeated_only_when_nothing_was_made(
    answering: Callable[..., tuple[AirflowApi, list[str]]],
) -> None:
    api, calls = answering(503, 200)
    assert api.create_backfill({}) == 7
    assert len(calls) == 2
    api, calls = answering(500)
    with pytest.raises(httpx.HTTPStatusError):
        api.create_backfill({})
    assert len(calls) == 1
