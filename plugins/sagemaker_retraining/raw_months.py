"""Which months of raw data are complete, and which of them a run reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from sagemaker_retraining.period import Period

SUCCESS = "_SUCCESS"


class RawData(TypedDict):
    """The XCom of `data_ready`: which objects the run reads; `months` and `missing` are YYYY-MM, sorted.

    `fingerprint` is a SHA-256 over the names and ETags of all objects: equal data give an equal value.
    """

    manifest_uri: str
    months: list[str]
    missing: list[str]
    objects: int
    bytes: int
    fingerprint: str


def month_of(name: str) -> Period | None:
    """`period=2013-11/flights.parquet` → 2013-11; None for a folder that is no month."""
    try:
        return Period.parse(name.split("/", 1)[0].removeprefix("period="))
    except ValueError:
        return None


def complete_months(names: list[str]) -> list[Period]:
    """The months with `_SUCCESS`, sorted."""
    return sorted({month for name in names if name.endswith(f"/{SUCCESS}") and (month := month_of(name))})


@dataclass(frozen=True)
class History:
    """The months before the period: those that are read, and those missing among them although there are earlier ones.

    The time before the first complete month is not missing: a model's first runs have less to learn from.
    """

    months: list[Period]
    missing: list[Period]

    @classmethod
    def of(cls, names: list[str], period: Period, history_months: int | None) -> History:
        """The complete ones of the last `history_months` calendar months (None: of all) before the period."""
        complete = [month for month in complete_months(names) if month < period]
        if not complete:
            return cls([], [])
        first = complete[0] if history_months is None else max(complete[0], period.add(-history_months))
        months = [month for month in complete if month >= first]
        return cls(months, [month for month in period.since(first) if month not in months])
