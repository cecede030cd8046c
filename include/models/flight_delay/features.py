"""What the model may know about a flight, and nothing else.

`build` turns one or more months of raw tables into one row per scheduled flight. Everything in a row is known one hour
before the flight's scheduled departure:

- the schedule itself (times, route, carrier, how busy the airport will be);
- the weather at the origin, of hours that were over at least one hour before the scheduled hour;
- how flights did whose outcome was settled before midnight of the flight's day (see `past_rates`).

`dep_time`, `dep_delay`, `arr_time`, `air_time` and `arr_delay` of the flight itself are answers, never features.
"""

from __future__ import annotations

import pandas as pd

LATE_MINUTES = 15
"""A flight is late when it arrives this many minutes or more after its schedule (the US DOT's definition)."""

TARGET = "late"
CATEGORICAL = ("carrier", "origin", "dest")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
WEATHER_6H = {"precip_6h": ("precip", "sum"), "visib_6h": ("visib", "min"), "wind_speed_6h": ("wind_speed", "max")}
RATES = {
    "origin_late_1d": (["origin"], 1),
    "carrier_late_1d": (["carrier"], 1),
    "dest_late_1d": (["dest"], 1),
    "flight_late_28d": (["carrier", "flight"], 28),
}
"""Name of the feature -> (the flights that count, the number of days up to yesterday)."""

SCHEDULE = (
    "month", "weekday", "dep_minute", "arr_minute", "distance", "duration", "slack", "flights_hour", "flights_day",
)  # fmt: skip
FEATURES = (*CATEGORICAL, *SCHEDULE, *WEATHER, *WEATHER_6H, *RATES)
"""The model's inputs, in the order of a CSV request."""

COLUMNS = {
    "flights": (
        "year", "month", "day", "sched_dep_time", "sched_arr_time", "arr_delay", "carrier", "flight", "origin", "dest",
        "distance", "time_hour",
    ),
    "weather": ("origin", "time_hour", *WEATHER),
    "airports": ("faa", "tzone"),
}  # fmt: skip
"""The raw columns that are read, by table. Raw tables may have more; they are ignored."""

KNOWN_AFTER = pd.Timedelta(hours=2)
"""From the start of an hour of weather to the first scheduled hour whose flights may know it."""

HOME_ZONE = "America/New_York"
CRUISE_MILES_PER_MINUTE = 8.0
PRIOR_RATE, PRIOR_FLIGHTS = 0.22, 5
"""A rate over few flights is pulled towards this one, as if this many more flights had been seen."""


def build(flights: pd.DataFrame, weather: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """One row per scheduled flight, in order of scheduled departure: `date`, `settled`, FEATURES and TARGET.

    TARGET is 1.0 or 0.0, and missing for a flight that was cancelled or diverted: it never arrived, late or not.
    """
    rows = add_schedule(flights, airports)
    rows = add_weather(rows, weather)
    settled_badly = ~(rows["arr_delay"] < LATE_MINUTES)
    for name, (keys, days) in RATES.items():
        rows[name] = past_rates(rows, settled_badly, keys, days)
    rows[TARGET] = (rows["arr_delay"] >= LATE_MINUTES).astype(float).where(rows["arr_delay"].notna())
    return rows[["date", "settled", *FEATURES, TARGET]]


def add_schedule(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """The flights in order of scheduled departure, with `hour` (UTC), `date` (New York), `settled` and SCHEDULE added.

    `duration` and `slack` are minutes. `flights_hour` and `flights_day` count what is scheduled from the same airport.
    """
    rows = flights[list(COLUMNS["flights"])].copy()
    rows["hour"] = pd.to_datetime(rows["time_hour"], utc=True)
    rows["dep_minute"] = minutes_of_day(rows["sched_dep_time"])
    rows["arr_minute"] = minutes_of_day(rows["sched_arr_time"])
    rows["date"] = pd.to_datetime(rows[["year", "month", "day"]])
    rows["weekday"] = rows["date"].dt.dayofweek
    departs = rows["hour"] + pd.to_timedelta(rows["dep_minute"] % 60, unit="min")
    zones = rows["dest"].map(airports.drop_duplicates("faa").set_index("faa")["tzone"])
    ahead = utc_offset(departs, zones) - utc_offset(departs, pd.Series(HOME_ZONE, index=rows.index))
    rows["duration"] = (rows["arr_minute"] - rows["dep_minute"] - ahead) % (24 * 60)
    rows["slack"] = rows["duration"] - rows["distance"] / CRUISE_MILES_PER_MINUTE
    # Whether a flight is 15 minutes late is settled 15 minutes after its scheduled arrival, however late it will be.
    rows["settled"] = departs + pd.to_timedelta(rows["duration"] + LATE_MINUTES, unit="min")
    rows["flights_hour"] = rows.groupby(["origin", "hour"])["flight"].transform("size")
    rows["flights_day"] = rows.groupby(["origin", "date"])["flight"].transform("size")
    order = rows.assign(departs=departs).sort_values(["departs", "origin", "carrier", "flight"], kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def minutes_of_day(clock: pd.Series) -> pd.Series:
    """Minutes since midnight of a clock time written as HHMM (517 is 05:17)."""
    return clock // 100 * 60 + clock % 100


def utc_offset(moments: pd.Series, zones: pd.Series) -> pd.Series:
    """Minutes that the local clock in `zones` (IANA names) is ahead of UTC at `moments`; missing where the zone is."""
    offsets = pd.Series(float("nan"), index=moments.index)
    for zone, there in moments.groupby(zones):
        local = there.dt.tz_convert(zone).dt.tz_localize(None)
        offsets[there.index] = (local - there.dt.tz_localize(None)).dt.total_seconds() / 60
    return offsets


def add_weather(rows: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """WEATHER and WEATHER_6H at the origin, of the last of the hours two to four before the scheduled hour.

    What is filed under an hour was measured up to 51 minutes past it, and gusts and rain are those of that whole time:
    it is known when the hour is over, and used from one hour after that.
    """
    seen = weather[list(COLUMNS["weather"])].copy()
    seen["hour"] = pd.to_datetime(seen["time_hour"], utc=True) + KNOWN_AFTER  # the hour it may be used from
    seen = seen.drop(columns="time_hour").drop_duplicates(["origin", "hour"]).sort_values("hour")
    for name, (column, how) in WEATHER_6H.items():
        window = seen.set_index("hour").groupby("origin")[column].rolling("6h").agg(how)
        seen = seen.merge(window.round(4).rename(name).reset_index(), on=["origin", "hour"]).sort_values("hour")
    recent = pd.Timedelta(hours=2)
    return pd.merge_asof(rows.sort_values("hour", kind="stable"), seen, on="hour", by="origin", tolerance=recent)


def past_rates(rows: pd.DataFrame, settled_badly: pd.Series, keys: list[str], days: int) -> pd.Series:
    """For each flight, the share of flights with the same `keys` that did not arrive within 15 minutes of schedule.

    Counted are flights settled on the `days` days before the flight's own day, in New York's calendar; a cancelled or
    diverted flight counts as one that did not. Everything counted was known at midnight before the flight's day.
    A flight whose destination has no time zone cannot be placed in time and is not counted. Missing when nothing was.
    """
    day = rows["settled"].dt.tz_convert(HOME_ZONE).dt.tz_localize(None).dt.normalize()
    groups = settled_badly.groupby([*(rows[key] for key in keys), day.rename("day")])
    counts = groups.agg(["sum", "size"]).unstack("day")
    calendar = pd.date_range(rows["date"].min(), rows["date"].max())
    bad, seen = (window_before(counts[part].T, calendar, days) for part in ("sum", "size"))
    rate = ((bad + PRIOR_RATE * PRIOR_FLIGHTS) / (seen + PRIOR_FLIGHTS)).where(seen > 0)
    wanted = pd.MultiIndex.from_frame(rows[[*keys, "date"]])
    return rate.unstack().reindex(wanted).set_axis(rows.index)


def window_before(daily: pd.DataFrame, calendar: pd.DatetimeIndex, days: int) -> pd.DataFrame:
    """Sums over the `days` days before each day of `calendar`; `daily` has a row per day and a column per key."""
    return daily.reindex(calendar).fillna(0.0).rolling(days, min_periods=1).sum().shift(1)
