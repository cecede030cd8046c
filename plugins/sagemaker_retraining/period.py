"""Which month a run is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

PERIOD_PATTERN = r"[0-9]{4}-(0[1-9]|1[0-2])"
"""A month as YAML, parameters and S3 keys write it."""


@dataclass(frozen=True, order=True)
class Period:
    """A calendar month; `str()` gives `2013-11`."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not (1 <= self.month <= 12 and 1 <= self.year <= 9999):
            raise ValueError(f"{self.year}-{self.month} is not a month")

    @classmethod
    def parse(cls, text: str, what: str = "period") -> Period:
        """Read `YYYY-MM`. Raises ValueError that names `what` and the text."""
        if not isinstance(text, str) or not re.fullmatch(PERIOD_PATTERN, text) or text.startswith("0000"):
            raise ValueError(f"{what} {text!r} is not a month; write YYYY-MM, such as 2013-11")
        return cls(int(text[:4]), int(text[5:]))

    @classmethod
    def of(cls, moment: datetime, what: str = "moment") -> Period:
        """The month in which `moment` lies, in UTC. Raises ValueError for a time without a zone."""
        if moment.tzinfo is None:
            raise ValueError(f"{what} {moment.isoformat()} has no time zone")
        moment = moment.astimezone(UTC)
        return cls(moment.year, moment.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @property
    def compact(self) -> str:
        """`201311`, for names."""
        return f"{self.year:04}{self.month:02}"

    def first_day(self) -> datetime:
        """Midnight UTC at the start of the month."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    def add(self, months: int) -> Period:
        """The month that many months later (earlier when negative)."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Period(year, month + 1)

    def since(self, first: Period) -> list[Period]:
        """The months from `first` to the one before this one, oldest first."""
        count = (self.year - first.year) * 12 + self.month - first.month
        return [first.add(months) for months in range(count)]


def resolve_period(
    *,
    param: str | None = None,
    partition_key: str | None = None,
    data_interval: tuple[datetime, datetime] | None = None,
    logical_date: datetime | None = None,
    run_after: datetime | None = None,
) -> Period:
    """The month of a run, however it was started. The first of these that is there decides:

    1. `param`: the month somebody asked for; it must be over at `run_after`.
    2. `partition_key`: a partitioned timetable's month.
    3. `data_interval` with a length: the month in which it starts (CronDataIntervalTimetable, its backfills, and manual
       runs with a logical date, for which Airflow takes the last complete interval).
    4. `data_interval` without a length, or `logical_date` alone: a moment, not a stretch of data (`@monthly` is such a
       trigger timetable in Airflow 3, as are asset events): the last month that was complete then.
    5. `run_after`: a manual run without dates: the last complete month.

    Raises ValueError for a text that is not `YYYY-MM`, a month that is not over, and when there is nothing to go by.
    """
    if param:
        return _complete(Period.parse(param), run_after)
    if partition_key:
        return Period.parse(partition_key, "partition key")
    if data_interval is not None:
        start, end = data_interval
        if end < start:
            raise ValueError(f"data interval ends ({end.isoformat()}) before it starts ({start.isoformat()})")
        month = Period.of(start, "data interval start")
        return month if start < end else month.add(-1)
    for moment, what in ((logical_date, "logical date"), (run_after, "run_after")):
        if moment is not None:
            return Period.of(moment, what).add(-1)
    raise ValueError(
        "no period, partition key, data interval, logical date or run_after: which month is the run about?"
    )


def _complete(period: Period, run_after: datetime | None) -> Period:
    if run_after is not None and period >= Period.of(run_after, "run_after"):
        last = Period.of(run_after).add(-1)
        raise ValueError(
            f"period {str(period)!r} is not over at {run_after.isoformat()}; the last complete month is {last}"
        )
    return period
