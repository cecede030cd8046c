"""Raw months → train, validation and test sets for one period; runs as a SageMaker processing job.

Reads `period=YYYY-MM/{flights,weather,airports}.parquet`, at whatever depth below `INPUT/raw`: the period's month is
the test set, every earlier month is history, of which the last week is the validation set. Writes
`OUTPUT/{train,validation,test}/`, each one parquet file with `date`, the features and `late`, `test/_facts.json` with
what was counted on the way, and `OUTPUT/baseline/` with the statistics of the features in the training set.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from baseline import write_baseline
from features import COLUMNS, FEATURES, TARGET, build

VALIDATION_DAYS = 7
"""Enough to measure on; more would keep the newest days, the most useful ones, from training."""

MESSAGE_LENGTH = 1024
"""SageMaker cuts a job's exit message here."""

TEXT_COLUMNS = {"carrier", "origin", "dest", "time_hour", "faa", "tzone"}


class BadInput(Exception):
    """The raw data cannot be used; the message names the file and column, and says what would be right."""


def main() -> int:
    """Run the job. On bad input: the reason on standard error and in `/opt/ml/output/message`, exit status 1."""
    arguments = parse_arguments()
    try:
        prepare(arguments.period, arguments.input, arguments.output)
    except BadInput as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        message = arguments.output.parent.parent / "output" / "message"
        message.parent.mkdir(parents=True, exist_ok=True)
        message.write_text(str(error)[:MESSAGE_LENGTH])
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """The job's arguments; the folders default to where SageMaker puts them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--period", required=True, metavar="YYYY-MM", help="the month to test on")
    parser.add_argument("--input", type=Path, default=Path("/opt/ml/processing/input"))
    parser.add_argument("--output", type=Path, default=Path("/opt/ml/processing/output"))
    return parser.parse_args()


def prepare(period: str, input_dir: Path, output_dir: Path) -> None:
    """Read, build features, split and write. Raises BadInput."""
    months = available_months(input_dir / "raw", period)
    print(f"Reading {len(months)} months, {min(months)} to {max(months)}", flush=True)
    raw = {table: read_table(months.values(), table) for table in COLUMNS}
    print(f"Building {len(FEATURES)} features for {len(raw['flights']):,} scheduled flights", flush=True)
    rows = build(raw["flights"], raw["weather"], raw["airports"])
    sets = split(rows, period)
    for name, part in sets.items():
        folder = output_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        part.to_parquet(folder / f"{name}.parquet", index=False)
        first, last = part["date"].min(), part["date"].max()
        print(f"{name}: {len(part):,} flights, {first:%Y-%m-%d} to {last:%Y-%m-%d}, {part[TARGET].mean():.1%} late")
    write_baseline(output_dir / "baseline", sets["train"][list(FEATURES)])
    (output_dir / "test" / "_facts.json").write_text(json.dumps(facts(rows, sets, period), indent=2))


def available_months(raw_dir: Path, period: str) -> dict[str, Path]:
    """The months to read and their folders, oldest first: the period's own and every earlier one below `raw_dir`.

    At any depth: SageMaker may put the files of a manifest under their path in it, or under their whole S3 key.
    """
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", period):
        raise BadInput(f"--period is {period!r}; it must be a month written YYYY-MM, such as 2013-11")
    found: dict[str, Path] = {}
    for folder in sorted(raw_dir.rglob("period=????-??"), key=lambda folder: folder.name):
        month = folder.name.removeprefix("period=")
        if found.setdefault(month, folder) != folder:
            raise BadInput(f"{raw_dir}: {month} is there twice, in {found[month]} and {folder}; expected one folder")
    if period not in found:
        raise BadInput(f"{raw_dir}/period={period}: no such folder; found {', '.join(found) or 'no months at all'}")
    months = {month: folder for month, folder in found.items() if month <= period}
    if len(months) == 1:
        raise BadInput(
            f"{raw_dir}: no month before {period}; the model learns from earlier months, so start with a later period"
        )
    return months


def read_table(folders: Iterable[Path], table: str) -> pd.DataFrame:
    """One table over the folders of all months, validated. Raises BadInput."""
    parts = [read_file(folder / f"{table}.parquet", COLUMNS[table]) for folder in folders]
    return pd.concat(parts, ignore_index=True)


def read_file(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """The wanted columns of one parquet file; every one must be there, with numbers where numbers belong."""
    if not file.is_file():
        raise BadInput(f"{file}: missing; each month needs flights.parquet, weather.parquet and airports.parquet")
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are both
        raise BadInput(f"{file}: not a readable parquet file ({error})") from error
    if missing := [name for name in columns if name not in table.columns]:
        raise BadInput(f"{file}: no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if table.empty:
        raise BadInput(f"{file}: has no rows; expected a month of data")
    for name in columns:
        check_column(file, table[name])
    return table[list(columns)]


def check_column(file: Path, column: pd.Series) -> None:
    """Numbers must be numbers and times must be times; only weather and `arr_delay` may be missing."""
    optional = column.name == "arr_delay" or file.stem != "flights"
    if not optional and column.isna().any():
        missing = int(column.isna().sum())
        raise BadInput(f"{file}: column {column.name} is empty in {missing:,} rows; every flight must have it")
    if column.name == "time_hour":
        wrong = column[pd.to_datetime(column, utc=True, errors="coerce").isna()]
        expected = "a time in UTC such as 2013-11-01T10:00:00Z"
    elif column.name in TEXT_COLUMNS:
        return
    else:
        wrong = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
        expected = "a number"
        if wrong.empty and not pd.api.types.is_numeric_dtype(column):
            raise BadInput(f"{file}: column {column.name} holds text; expected numbers (type {column.dtype})")
    if not wrong.empty:
        raise BadInput(f"{file}: column {column.name}, row {wrong.index[0]}: {wrong.iloc[0]!r} is not {expected}")


def split(rows: pd.DataFrame, period: str) -> dict[str, pd.DataFrame]:
    """Flights that arrived, as train, validation (the last week of history) and test (the period)."""
    arrived = rows[rows[TARGET].notna()].drop(columns="settled")
    month = arrived["date"].dt.strftime("%Y-%m")
    history, test = arrived[month < period], arrived[month == period]
    if test.empty:
        raise BadInput(f"period={period}/flights.parquet: no flight of {period} has an arr_delay; nothing to test on")
    cut = history["date"].max() - pd.Timedelta(days=VALIDATION_DAYS)
    train, validation = history[history["date"] <= cut], history[history["date"] > cut]
    sets = {"train": train, "validation": validation, "test": test}
    for name, part in sets.items():
        if part[TARGET].nunique() < 2:
            raise BadInput(f"the {name} set has {len(part):,} flights, but not both late and punctual ones; "
                           "a model needs examples of both")  # fmt: skip
    return sets


def facts(rows: pd.DataFrame, sets: dict[str, pd.DataFrame], period: str) -> dict[str, object]:
    """What the report says about the data: rows per set, and the test month's flights that never arrived."""
    month = rows["date"].dt.strftime("%Y-%m") == period
    return {
        "period": period,
        "rows": {name: len(part) for name, part in sets.items()},
        "late_share": {name: float(part[TARGET].mean()) for name, part in sets.items()},
        "history": [f"{rows['date'].min():%Y-%m-%d}", f"{rows.loc[~month, 'date'].max():%Y-%m-%d}"],
        "scheduled": int(month.sum()),
        "cancelled_or_diverted": int(rows.loc[month, TARGET].isna().sum()),
    }


if __name__ == "__main__":
    sys.exit(main())
