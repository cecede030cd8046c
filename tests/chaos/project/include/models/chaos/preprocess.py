"""Raw months → train, validation and test sets (CSV)."""

from __future__ import annotations

import argparse
from pathlib import Path

INPUT = Path("/opt/ml/processing/input/raw")
OUTPUT = Path("/opt/ml/processing/output")


def main() -> None:
    """The period's month is the test set; of the months before it, every fifth row is for validation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--period", required=True)
    period = parser.parse_args().period

    months = {folder.name.removeprefix("period="): folder for folder in INPUT.rglob("period=*")}
    lines = [line for month in sorted(months) if month < period for line in read(months[month])]
    sets = {
        "train": [line for number, line in enumerate(lines) if number % 5],
        "validation": lines[::5],
        "test": read(months[period]),
    }
    for name, rows in sets.items():
        folder = OUTPUT / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data.csv").write_text("\n".join(rows) + "\n")
        print(f"{name}: {len(rows)} rows")


def read(folder: Path) -> list[str]:
    """One month of raw data: lines `x,y,label`."""
    return (folder / "points.csv").read_text().splitlines()


if __name__ == "__main__":
    main()
