"""The rule of which version may go to production: its table of cases, and what follows from it whatever the months."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.promotion_rule import Version, for_the_record, superseding, why_it_ends

JUNE, NOVEMBER, DECEMBER, JANUARY = "2013-06", "2013-11", "2013-12", "2014-01"


# run type, month of version 5, approved (version, month), replace_newer → why it ends; None: it goes on to a person
@pytest.mark.parametrize(
    ("run_type", "period", "approved", "replace_newer", "ends"),
    [
        # The newest month, or nothing to compare with.
        ("scheduled", NOVEMBER, [], False, None),
        ("manual", NOVEMBER, [(4, "2013-10")], False, None),
        ("scheduled", JANUARY, [(4, DECEMBER)], False, None),
        # The same month again: an earlier version of it does not stand in the way, a later one does.
        ("manual", NOVEMBER, [(4, NOVEMBER)], False, None),
        ("manual", NOVEMBER, [(6, NOVEMBER)], False, "superseded: version 6 of 2013-11 is approved"),
        ("manual", NOVEMBER, [(6, NOVEMBER)], True, "superseded: version 6 of 2013-11 is approved"),
        # An older month, whoever starts the run and in whatever order the versions were made.
        ("manual", JUNE, [(4, NOVEMBER)], False, "older month than 2013-11"),
        ("scheduled", JUNE, [(6, NOVEMBER)], False, "older month than 2013-11"),
        ("manual", DECEMBER, [(3, JUNE), (4, JANUARY)], False, "older month than 2014-01"),
        ("manual", JUNE, [(4, NOVEMBER)], True, None),
        ("manual", JUNE, [(6, NOVEMBER)], True, None),
        # A backfill never asks, not even for the newest month, unless it was told to.
        ("backfill", NOVEMBER, [], False, "backfill"),
        ("backfill", JANUARY, [(4, DECEMBER)], False, "backfill"),
        ("backfill", JUNE, [(4, NOVEMBER)], False, "backfill"),
        ("backfill", JANUARY, [(4, DECEMBER)], True, None),
        ("backfill", JUNE, [(4, NOVEMBER)], True, None),
        # Versions that somebody registered without a month; the version itself, approved.
        ("manual", NOVEMBER, [(4, None)], False, None),
        ("manual", None, [(4, NOVEMBER)], False, None),
        ("manual", NOVEMBER, [(5, NOVEMBER)], False, None),
    ],
)
def test_who_goes_on_to_a_person(
    run_type: str, period: str | None, approved: list[tuple[int, str | None]], replace_newer: bool, ends: str | None
) -> None:
    found = why_it_ends(
        Version(5, period), [Version(*other) for other in approved], run_type=run_type, replace_newer=replace_newer
    )
    if ends is None:
        assert found is None
    else:
        assert found is not None
        assert ends in found


def test_the_sentence_says_what_to_do() -> None:
    said = why_it_ends(Version(5, JUNE), [Version(4, NOVEMBER)], run_type="manual", replace_newer=False)
    assert said == (
        "version 5 of 2013-06 is about an older month than 2013-11, which is approved already: kept for the record, "
        "not deployed (a run with replace_newer would go on)"
    )


def test_the_newest_of_several_is_named() -> None:
    approved = [Version(7, NOVEMBER), Version(6, DECEMBER), Version(3, JANUARY), Version(8, None)]
    assert superseding(Version(5, NOVEMBER), approved, replace_newer=False) == Version(3, JANUARY)
    assert superseding(Version(5, NOVEMBER), approved, replace_newer=True) == Version(7, NOVEMBER)


VERSIONS = st.builds(Version, st.integers(1, 30), st.one_of(st.none(), st.sampled_from([JUNE, NOVEMBER, DECEMBER])))
APPROVED = st.lists(VERSIONS, max_size=6, unique_by=lambda version: version.number)


@given(VERSIONS, APPROVED)
def test_a_version_that_goes_on_is_not_older_than_what_is_approved(version: Version, approved: list[Version]) -> None:
    if why_it_ends(version, approved, run_type="manual", replace_newer=False) is None and version.period is not None:
        others = [other.period for other in approved if other.number != version.number and other.period is not None]
        assert all(version.period >= month for month in others)


@given(VERSIONS, APPROVED, st.sampled_from(["manual", "scheduled", "backfill"]))
def test_being_asked_to_replace_only_ever_helps(version: Version, approved: list[Version], run_type: str) -> None:
    if why_it_ends(version, approved, run_type=run_type, replace_newer=False) is None:
        assert why_it_ends(version, approved, run_type=run_type, replace_newer=True) is None


@given(VERSIONS, VERSIONS)
def test_two_versions_never_supersede_each_other(first: Version, second: Version) -> None:
    one = superseding(first, [second], replace_newer=False)
    other = superseding(second, [first], replace_newer=False)
    assert one is None or other is None


@given(VERSIONS, APPROVED)
def test_a_backfill_never_waits(version: Version, approved: list[Version]) -> None:
    assert for_the_record(version, approved, run_type="backfill", replace_newer=False) is not None
