"""No feature may know anything that was not known one hour before the flight's scheduled departure."""

from __future__ import annotations

from pathlib import Path

from tests.kits import flight_delay_kit as kit

SETUP = """
import json
import numpy as np, pandas as pd
import features
from features import FEATURES, HOME_ZONE, build
raw = sys.argv[1]
tables = {name: pd.read_parquet(f"{raw}/period=2013-01/{name}.parquet") for name in ("flights", "weather", "airports")}
flights = tables["flights"]
before = build(**tables)
def changed(after, where=None):
    '''The features that differ, among the rows of `where`.'''
    pd.testing.assert_index_equal(after.index, before.index)
    rows = slice(None) if where is None else where
    return [n for n in FEATURES if not before.loc[rows, n].equals(after.loc[rows, n])]
"""


def test_outcomes_never_reach_their_own_day_or_an_earlier_one(raw: Path) -> None:
    """Whatever is settled from midnight on, cancellations too, leaves the features of that day and before alone."""
    found = kit.jobs_python(
        SETUP
        + """
spoilt = []; later = set()
for day in pd.date_range("2013-01-02", "2013-01-30", freq="4D"):
    midnight = day.tz_localize(HOME_ZONE)
    # `settled` does not depend on outcomes; `build` sorts, so find the raw rows by the same arithmetic
    scheduled = features.add_schedule(flights.assign(flight=np.arange(len(flights))), tables["airports"])
    unsettled = scheduled.loc[scheduled["settled"] >= midnight, "flight"].to_numpy()
    other = flights.copy()
    delay = other["arr_delay"].to_numpy(copy=True)
    was_late = np.isnan(delay[unsettled]) | (delay[unsettled] >= 15)
    delay[unsettled] = np.where(was_late, -30.0, np.where(unsettled % 2, 500.0, np.nan))
    other["arr_delay"] = delay
    after = build(other, tables["weather"], tables["airports"])
    spoilt += changed(after, before["date"] <= day)
    later |= set(changed(after, before["date"] > day))
print(json.dumps([spoilt, sorted(later)]))
""",
        raw,
    )
    assert found == [[], ["carrier_late_1d", "dest_late_1d", "flight_late_28d", "origin_late_1d"]]


def test_a_flights_own_answers_are_not_features(raw: Path) -> None:
    """The columns that are filled in after departure can hold anything."""
    found = kit.jobs_python(
        SETUP
        + """
answers = ["dep_time", "dep_delay", "arr_time", "air_time", "tailnum"]
print(json.dumps(changed(build(flights.assign(**dict.fromkeys(answers, 7)), tables["weather"], tables["airports"]))))
""",
        raw,
    )
    assert found == []


def test_weather_is_of_hours_that_were_over_an_hour_before(raw: Path) -> None:
    """What is filed under an hour is measured until it ends: flights of that hour and the next cannot know it."""
    found = kit.jobs_python(
        SETUP
        + """
weather = tables["weather"]; spoilt = []; later = set()
departs = features.add_schedule(flights, tables["airports"])["hour"]
for moment in pd.date_range("2013-01-03 15:00", "2013-01-30 15:00", freq="3D", tz="UTC"):
    future = pd.to_datetime(weather["time_hour"], utc=True) >= moment
    other = weather.copy()
    columns = list(features.WEATHER)
    other.loc[future, columns] = other.loc[future, columns].fillna(0.0) * 3 - 200
    after = build(flights, other, tables["airports"])
    over = moment + pd.Timedelta(hours=1)
    spoilt += changed(after, departs <= over)
    later |= set(changed(after, departs == over + pd.Timedelta(hours=1)))
print(json.dumps([spoilt, sorted(later) == sorted([*features.WEATHER, *features.WEATHER_6H])]))
""",
        raw,
    )
    assert found == [[], True]


def test_later_months_do_not_change_earlier_features(raw: Path) -> None:
    """A month's features are the same with or without later months, so the backtest may build them all at once."""
    found = kit.jobs_python(
        SETUP
        + """
months = ("2013-01", "2013-02")
files = {n: [pd.read_parquet(f"{raw}/period={m}/{n}.parquet") for m in months] for n in tables}
after = build(**{n: pd.concat(parts, ignore_index=True) for n, parts in files.items()})
print(json.dumps(changed(after[after["date"] < "2013-02-01"])))
""",
        raw,
    )
    assert found == []


def test_a_rate_counts_exactly_the_flights_settled_the_day_before(raw: Path) -> None:
    """Recounted by hand for one airport and one day."""
    rate, expected = kit.jobs_python(
        SETUP
        + """
day = pd.Timestamp("2013-01-10")
yesterday = features.add_schedule(flights, tables["airports"])
settled = yesterday["settled"].dt.tz_convert(HOME_ZONE)
start = day.tz_localize(HOME_ZONE)
yesterday = yesterday[(settled >= start - pd.Timedelta(days=1)) & (settled < start) & (yesterday["origin"] == "LGA")]
bad = len(yesterday) - int((yesterday["arr_delay"] < 15).sum())
rate = before.loc[(before["date"] == day) & (before["origin"] == "LGA"), "origin_late_1d"].unique()
print(json.dumps([rate.tolist(), (bad + 0.22 * 5) / (len(yesterday) + 5)]))
""",
        raw,
    )
    assert rate == [expected]
