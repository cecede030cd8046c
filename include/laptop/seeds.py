"""What a fresh stack holds before the first run: the bucket, and each model's raw data, month by month."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from include.laptop.aws import client
from include.laptop.layout import JOBS_PYTHON, MODELS, ROOT, Addresses, LaptopError, addresses

BUCKET = "sagemaker-retraining-local"
SUCCESS = "_SUCCESS"


def models_with_data() -> list[str]:
    """The models that bring data for a laptop."""
    return sorted(script.parent.name for script in MODELS.glob("*/sample_data.py"))


def sow(where: Addresses, models: list[str], say: Callable[[str, float], None]) -> None:
    """Create the bucket, and upload what a model's sample_data.py makes when there are no months of it yet."""
    s3 = client("s3", where)
    s3.create_bucket(Bucket=BUCKET)
    for model in models:
        if not months(where, model):
            started = time.monotonic()
            upload_sample_data(s3, model)
            say(f"raw data of {model}", time.monotonic() - started)


def months(where: Addresses, model: str) -> list[str]:
    """The complete months of raw data in the bucket, as YYYY-MM."""
    prefix = f"{model}/raw/period="
    pages = client("s3", where).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    keys = [item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", [])]
    return sorted(key.split("/")[0] for key in keys if key.endswith(f"/{SUCCESS}"))


def check_months(where: Addresses, model: str, periods: list[str], asked: str) -> None:
    """Raise LaptopError for periods that have no data here, which the DAG would wait for.

    `asked` is what the user wrote, such as `PERIOD=2013-11`. The first month of the data is history, never a period.
    """
    possible = months(where, model)[1:]
    missing = [period for period in periods if period not in possible]
    if not missing:
        return
    there = f"{possible[0]} to {possible[-1]}" if possible else "none"
    which = "" if len(periods) == 1 else f" ({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''})"
    raise LaptopError(
        f"{asked} cannot be retrained here{which}: it needs its own data and a month before it; possible periods are "
        f"{there}.",
        2,
    )


def upload_sample_data(s3: Any, model: str) -> None:
    """Run `include/models/<model>/sample_data.py` and upload its files; `_SUCCESS` comes last in each month."""
    script = MODELS / model / "sample_data.py"
    if not script.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [str(JOBS_PYTHON), str(script), "--output", folder]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode:
            raise LaptopError(f"{script} ended with status {result.returncode}:\n{result.stderr[-2000:]}")
        for month in sorted(Path(folder).glob("period=*")):
            for file in sorted(month.iterdir()):
                s3.upload_file(str(file), BUCKET, f"{model}/raw/{month.name}/{file.name}")
            s3.put_object(Bucket=BUCKET, Key=f"{model}/raw/{month.name}/{SUCCESS}", Body=b"")


if __name__ == "__main__":
    sow(addresses(), models_with_data(), lambda name, seconds: None)
