"""The month of a run: the same answer for every way to start one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.period import Period, resolve_period

MONTHS = st.builds(Period, st.integers(1900, 2200), st.integers(1, 12))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Who starts the run, what Airflow then gives, and the month. The first five are the measured cases of a DAG with
# CronDataIntervalTimetable("0 6 1 * *"), the others are of other timetables.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "schedule": (
        {
            "data_interval": (at("2026-10-01T06:00"), at("2026-11-01T06:00")),
            "logical_date": at("2026-10-01T06:00"),
            "run_after": at("2026-11-01T06:00"),
        },
        "2026-10",
    ),
    "backfill": (
        {
            "data_interval": (at("2026-02-01T06:00"), at("2026-03-01T06:00")),
            "logical_date": at("2026-02-01T06:00"),
            "run_after": at("2026-11-20T12:00"),
        },
        "2026-02",
    ),
    "cli and api, no dates": ({"run_after": at("2026-11-20T12:00")}, "2026-10"),
    "ui form, logical date is now": (
        {
            "data_interval": (at("2026-10-01T06:00"), at("2026-11-01T06:00")),
            "logical_date": at("2026-11-20T12:00"),
            "run_after": at("2026-11-20T12:00"),
        },
        "2026-10",
    ),
    "a month asked for": ({"param": "2013-11", "run_after": at("2026-11-20T12:00")}, "2013-11"),
    "partition": ({"partition_key": "2026-10", "run_after": at("2026-11-01T06:00")}, "2026-10"),
    "@monthly, empty interval": (
        {
            "data_interval": (at("2026-11-01"), at("2026-11-01")),
            "logical_date": at("2026-11-01"),
            "run_after": at("2026-11-01"),
        },
        "2026-10",
    ),
    "logical date alone": ({"logical_date": at("2026-11-01T06:00"), "run_after": at("2027-01-01")}, "2026-10"),
    "january": ({"run_after": at("2026-01-01")}, "2025-12"),
    "an empty text is no month": ({"param": "", "run_after": at("2026-11-20")}, "2026-10"),
    "zones are counted in UTC": (
        {"run_after": datetime(2026, 11, 1, 1, tzinfo=timezone(timedelta(hours=2)))},  # 31 October 23:00 UTC
        "2026-09",
    ),
    "the asked month wins": (
        {
            "param": "2013-03",
            "partition_key": "2013-04",
            "data_interval": (at("2013-05-01"), at("2013-06-01")),
            "logical_date": at("2013-07-01"),
            "run_after": at("2013-09-01"),
        },
        "2013-03",
    ),
    "then the partition": (
        {"partition_key": "2013-04", "data_interval": (at("2013-05-01"), at("2013-06-01"))},
        "2013-04",
    ),
    "then the interval": (
        {"data_interval": (at("2013-05-01"), at("2013-06-01")), "logical_date": at("2013-08-01")},
        "2013-05",
    ),
}


@pytest.mark.parametrize(("given", "month"), CASES.values(), ids=list(CASES))
def test_resolution(given: dict[str, Any], month: str) -> None:
    assert str(resolve_period(**given)) == month


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"param": "2013-13"}, "period '2013-13' is not a month; write YYYY-MM, such as 2013-11"),
        ({"param": "2013-1"}, "period '2013-1' is not a month"),
        ({"param": " 2013-11"}, "is not a month"),
        ({"param": "\uff12\uff10\uff11\uff13-11"}, "is not a month"),
        ({"param": 201311}, "period 201311 is not a month"),
        (
            {"param": "2026-11", "run_after": at("2026-11-20")},
            "is not over at 2026-11-20.*last complete month is 2026-10",
        ),
        ({"partition_key": "2026-10-01"}, "partition key '2026-10-01' is not a month"),
        ({"data_interval": (at("2013-06-01"), at("2013-05-01"))}, "ends .* before it starts"),
        ({"run_after": datetime(2026, 11, 1)}, "run_after 2026-11-01T00:00:00 has no time zone"),
        ({}, "which month is the run about"),
    ],
)
def test_what_cannot_be_resolved(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_period(**given)


@given(MONTHS)
def test_text_and_back(month: Period) -> None:
    assert Period.parse(str(month)) == month


@given(MONTHS, st.integers(-500, 500))
def test_adding_and_taking_away(month: Period, months: int) -> None:
    assert month.add(months).add(-months) == month
    assert (month.add(months) > month) == (months > 0)


@given(MONTHS, MONTHS)
def test_months_sort_like_their_texts(one: Period, other: Period) -> None:
    assert (one < other) == (str(one) < str(other)) == (one.first_day() < other.first_day())


@given(MONTHS, st.integers(0, 40))
def test_history(month: Period, count: int) -> None:
    history = month.since(month.add(-count))
    assert len(history) == count
    assert [*history, month] == [month.add(i - count) for i in range(count + 1)]


@given(st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)))
def test_a_run_by_hand_is_about_a_month_that_is_over(now: datetime) -> None:
    month = resolve_period(run_after=now)
    assert month.add(1).first_day() <= now < month.add(2).first_day()
