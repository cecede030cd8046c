"""Which version may go to production: the rule that a backfill or an older month never replaces a newer model. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BACKFILL = "backfill"


@dataclass(frozen=True)
class Version:
    """A version of a group and the month it is about (YYYY-MM; None when nobody noted it)."""

    number: int
    period: str | None

    def __str__(self) -> str:
        return f"version {self.number} of {self.period}"


def for_the_record(version: Version, approved: Iterable[Version], *, run_type: str, replace_newer: bool) -> str | None:
    """Why a run's version is kept for the record and neither approved nor deployed; None when it may go on.

    So it is for a run of a backfill (`run_type`, as Airflow words it), which would otherwise ask for one decision a
    month, and for a month before the newest approved one: a run of last year's month would deploy last year's model.
    A run with `replace_newer` goes on.
    """
    if replace_newer:
        return None
    if run_type == BACKFILL:
        return f"{version} comes from a backfill"
    months = [other.period for other in approved if other.period is not None and other.number != version.number]
    newest = max(months, default=None)
    if newest is not None and version.period is not None and version.period < newest:
        return f"{version} is about an older month than {newest}, which is approved already"
    return None


def superseding(version: Version, approved: Iterable[Version], *, replace_newer: bool) -> Version | None:
    """The newest approved version that replaces this one: of a later month, or a later one of its month.

    With `replace_newer`, a version of a later month does not.
    """
    if version.period is None:
        return None
    month = version.period
    later = [
        other
        for other in approved
        if other.period is not None
        and ((other.period == month and other.number > version.number) or (other.period > month and not replace_newer))
    ]
    return max(later, key=lambda other: (other.period or "", other.number), default=None)


def why_it_ends(version: Version, approved: Iterable[Version], *, run_type: str, replace_newer: bool) -> str | None:
    """The sentence that says why nobody need decide on this version, or None."""
    known = list(approved)
    if reason := for_the_record(version, known, run_type=run_type, replace_newer=replace_newer):
        return f"{reason}: kept for the record, not deployed (a run with replace_newer would go on)"
    if newer := superseding(version, known, replace_newer=replace_newer):
        return f"{version} is superseded: {newer} is approved"
    return None
