"""preprocess.py: what it writes, and what it says when the raw data are not right."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.kits import flight_delay_kit as kit

REWRITE = """
import json, pandas as pd
source, target = sys.argv[1:3]
table = pd.read_parquet(source)
{change}
table.to_parquet(target, index=False)
print(json.dumps(len(table)))
"""


def test_sets_follow_each_other_in_time(sets: Path) -> None:
    """Train, then a week of validation, then the month to test on; nothing twice, nothing without an outcome."""
    found = kit.jobs_python(
        "import json, pandas as pd\n"
        "sets = [pd.read_parquet(f'{sys.argv[1]}/{name}') for name in ('train', 'validation', 'test')]\n"
        "days = lambda s: [str(s.date.min().date()), str(s.date.max().date())]\n"
        "print(json.dumps([[*days(s), len(s), sorted(s.late.unique())] for s in sets]))",
        sets,
    )
    assert [part[:2] for part in found] == [
        ["2013-01-01", "2013-01-24"], ["2013-01-25", "2013-01-31"], ["2013-02-01", "2013-02-28"],
    ]  # fmt: skip
    assert found[2][2] == 23611  # 24,951 scheduled, 1,340 cancelled or diverted
    assert all(part[3] == [0.0, 1.0] for part in found)
    facts = json.loads((sets / "test/_facts.json").read_text())
    assert (facts["scheduled"], facts["cancelled_or_diverted"]) == (24951, 1340)


def test_same_input_same_output(sets: Path, raw: Path, tmp_path: Path) -> None:
    """Byte for byte: a checkpoint must recognise its data after a restart."""
    base = folders(tmp_path, raw, ["2013-01", "2013-02"])
    assert kit.preprocess(base, "2013-02").returncode == 0
    for name in ("train", "validation", "test"):
        file = f"{name}/{name}.parquet"
        assert digest(base / "processing/output" / file) == digest(sets / file)


@pytest.mark.aws_fact("processing-manifest-paths")
def test_months_under_their_whole_key_are_found(sets: Path, raw: Path, tmp_path: Path) -> None:
    """SageMaker may put the files of a manifest there; a month that is at two places is refused."""
    base = folders(tmp_path, raw, ["2013-01", "2013-02"], below="risk/prod/flight_delay/raw")
    assert kit.preprocess(base, "2013-02").returncode == 0
    assert digest(base / "processing/output/train/train.parquet") == digest(sets / "train/train.parquet")
    folders(tmp_path, raw, ["2013-01"])
    assert ": 2013-01 is there twice, in " in refused(base, "2013-02")


def test_first_month_has_nothing_to_learn_from(raw: Path, tmp_path: Path) -> None:
    """2013-01 with no month before it: exit 1, the reason where SageMaker looks for it."""
    said = refused(folders(tmp_path, raw, ["2013-01"]), "2013-01")
    assert "no month before 2013-01" in said


def test_missing_month_names_the_folder_and_what_is_there(raw: Path, tmp_path: Path) -> None:
    """A period without data."""
    said = refused(folders(tmp_path, raw, ["2013-01"]), "2013-02")
    assert "period=2013-02: no such folder; found 2013-01" in said


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        ("flights", "table = table.drop(columns='sched_arr_time')", "no column sched_arr_time; it has year, month"),
        ("flights", "table['day'] = table['day'].astype(str) + 'th'", "column day, row 0: '1th' is not a number"),
        ("flights", "table['day'] = table['day'].astype(str)", "column day holds text; expected numbers"),
        ("flights", "table.loc[3:4, 'carrier'] = None", "column carrier is empty in 2 rows"),
        ("weather", "table['time_hour'] = 'noon'", "column time_hour, row 0: 'noon' is not a time in UTC"),
        ("flights", "table = table.head(0)", "has no rows"),
        ("airports", "table = table.rename(columns={'tzone': 'zone'})", "no column tzone; it has faa, zone"),
    ],
)  # fmt: skip
def test_bad_table_names_file_and_column(raw: Path, tmp_path: Path, table: str, change: str, reason: str) -> None:
    """The reason says which file, which column and what would be right."""
    base = folders(tmp_path, raw, ["2013-01", "2013-02"])
    file = base / f"processing/input/raw/period=2013-01/{table}.parquet"
    file.unlink()
    kit.jobs_python(REWRITE.format(change=change), raw / f"period=2013-01/{table}.parquet", file)
    said = refused(base, "2013-02")
    assert reason in said
    assert f"period=2013-01/{table}.parquet" in said


def test_file_that_is_no_parquet(raw: Path, tmp_path: Path) -> None:
    """A CSV under a parquet name."""
    base = folders(tmp_path, raw, ["2013-01", "2013-02"])
    file = base / "processing/input/raw/period=2013-02/weather.parquet"
    file.unlink()
    file.write_text("origin,temp\n")
    assert f"{file}: not a readable parquet file" in refused(base, "2013-02")


def test_month_in_which_nothing_arrived(raw: Path, tmp_path: Path) -> None:
    """No outcome, nothing to test on."""
    base = folders(tmp_path, raw, ["2013-01", "2013-02"])
    file = base / "processing/input/raw/period=2013-02/flights.parquet"
    file.unlink()
    kit.jobs_python(
        REWRITE.format(change="table['arr_delay'] = float('nan')"), raw / "period=2013-02/flights.parquet", file
    )
    assert "no flight of 2013-02 has an arr_delay" in refused(base, "2013-02")


def test_month_that_ends_early(raw: Path, tmp_path: Path) -> None:
    """A month whose last days have not come yet is tested on the days that have."""
    base = folders(tmp_path, raw, ["2013-01", "2013-02"])
    for table in ("flights", "weather"):
        file = base / f"processing/input/raw/period=2013-02/{table}.parquet"
        file.unlink()
        change = "table = table[table['day'] <= 5]"
        kit.jobs_python(REWRITE.format(change=change), raw / f"period=2013-02/{table}.parquet", file)
    done = kit.preprocess(base, "2013-02")
    assert done.returncode == 0, done.stderr
    assert "2013-02-01 to 2013-02-05" in done.stdout


def folders(base: Path, raw: Path, months: list[str], below: str = "") -> Path:
    """`base` as /opt/ml, with links to the files of some months as raw input, in a folder `below` it."""
    for month in months:
        target = base / "processing/input/raw" / below / f"period={month}"
        target.mkdir(parents=True)
        for file in (raw / f"period={month}").iterdir():
            (target / file.name).symlink_to(file)
    return base


def refused(base: Path, period: str) -> str:
    """What preprocess.py says when it refuses; the same on standard error and in the exit message, no traceback."""
    done = kit.preprocess(base, period)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    message = (base / "output/message").read_text()
    assert done.stderr.strip() == f"Error: {message}"
    return message


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
