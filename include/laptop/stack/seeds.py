"""Seed data: what a fresh stack holds before the first run: the bucket, and each model's raw data, month by month."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

from botocore.exceptions import ClientError

from include.laptop.layout import JOBS_PYTHON, MODELS, ROOT, Addresses, LaptopError, addresses
from include.laptop.stack.clients import client
from sagemaker_retraining.config import ConfigError, load_environment, load_model
from sagemaker_retraining.plan import raw_uri
from sagemaker_retraining.s3_uri import split_s3_uri

BUCKET = "sagemaker-retraining-local"
ENVIRONMENT = "local"
SUCCESS = "_SUCCESS"
RECORD = "_sample_data.json"
"""The name of the SampleDataRecord, which is beside the months."""


class SampleDataRecord(TypedDict):
    """What was uploaded (key below raw/ → ETag), and the fingerprint of the sample data that it was made of."""

    fingerprint: str | None
    objects: dict[str, str]


def models_with_data() -> list[str]:
    """The models that bring data for a laptop."""
    return sorted(script.parent.name for script in MODELS.glob("*/sample_data.py"))


def seed(where: Addresses, models: list[str], say: Callable[[str, float], None]) -> None:
    """Create the bucket, and upload what the models' sample_data.py make, where it is not there or has changed.

    A model whose YAML cannot be read is left out: Airflow says what is wrong with it.
    """
    s3 = client("s3", where)
    s3.create_bucket(Bucket=BUCKET)
    for model in models:
        started = time.monotonic()
        try:
            raw_data = RawData(s3, model)
        except ConfigError:
            continue
        if raw_data.update():
            say(f"raw data of {model}", time.monotonic() - started)


def months(where: Addresses, model: str) -> list[str]:
    """The complete months of raw data in the bucket, as YYYY-MM."""
    return RawData(client("s3", where), model).months()


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


class RawData:
    """A model's raw data in the local bucket: where the runs of environment `local` read it."""

    def __init__(self, s3: Any, model: str) -> None:
        self.s3, self.model, self.environment = s3, model, load_environment(ENVIRONMENT)
        self.bucket, self.prefix = split_s3_uri(raw_uri(load_model(model, environment=ENVIRONMENT), self.environment))

    def update(self) -> bool:
        """Upload the sample data unless they are there already; False when there was nothing to do.

        A month belongs to the user when anything in it differs from what was uploaded here, and so do all months when
        there is no record of an upload. Such a month is not touched, and neither is one that would stay the same.
        """
        for bucket in {self.environment.bucket, self.bucket}:
            self.s3.create_bucket(Bucket=bucket)
        found, record, fingerprint = self.objects(), self.record(), self.fingerprint()
        if found and record["fingerprint"] in (None, fingerprint):
            return False
        if not (MODELS / self.model / "sample_data.py").exists():
            return False
        of_user = {month_of(key) for key, etag in found.items() if record["objects"].get(key) != etag}
        with tempfile.TemporaryDirectory() as folder:
            self.make(Path(folder))
            made = {month.name: month for month in Path(folder).glob("period=*")}
            for month in sorted({*made, *map(month_of, found)} - of_user):
                before = {key: etag for key, etag in found.items() if month_of(key) == month}
                self.replace(month, before, sorted(made[month].iterdir()) if month in made else [])
        written = {key: etag for key, etag in self.objects().items() if month_of(key) not in of_user}
        body = json.dumps({"fingerprint": fingerprint, "objects": written}, indent=1)
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.prefix}{RECORD}", Body=body.encode())
        return True

    def replace(self, month: str, before: dict[str, str], files: list[Path]) -> None:
        """Replace a month's objects by these files; none: the month goes. `_SUCCESS` goes first, comes last."""
        success = f"{month}/{SUCCESS}"
        wanted = {f"{month}/{file.name}": file for file in files}
        same = {key: f'"{hashlib.md5(file.read_bytes()).hexdigest()}"' for key, file in wanted.items()}  # noqa: S324
        if wanted and before == {**same, success: before.get(success)}:
            return
        for key in sorted(before, key=lambda key: key != success):
            self.s3.delete_object(Bucket=self.bucket, Key=f"{self.prefix}{key}")
        for key, file in wanted.items():
            self.s3.upload_file(str(file), self.bucket, f"{self.prefix}{key}")
        if wanted:
            self.s3.put_object(Bucket=self.bucket, Key=f"{self.prefix}{success}", Body=b"")

    def months(self) -> list[str]:
        """The complete months, as YYYY-MM."""
        return sorted(month_of(key).removeprefix("period=") for key in self.objects() if key.endswith(f"/{SUCCESS}"))

    def objects(self) -> dict[str, str]:
        """Key below the prefix → ETag, of all months."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}period=")
        found = [item for page in pages for item in page.get("Contents", [])]
        return {item["Key"].removeprefix(self.prefix): item["ETag"] for item in found}

    def record(self) -> SampleDataRecord:
        """What was uploaded here; empty when nothing was."""
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=f"{self.prefix}{RECORD}")["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return {"fingerprint": None, "objects": {}}
        found: SampleDataRecord = json.loads(body)
        return found

    def fingerprint(self) -> str:
        """Of all that sample_data.py may be made of: the files of the model's folder, and the packages of the jobs."""
        folder, digest = MODELS / self.model, hashlib.sha256()
        for file in [*sorted(folder.rglob("*")), ROOT / "locks" / "jobs.txt"]:
            name = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else file.name
            if file.is_file() and "__pycache__" not in file.parts and file.name not in ("model.yaml", "README.md"):
                digest.update(f"{name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
        return digest.hexdigest()

    def make(self, folder: Path) -> None:
        """Run `include/models/<model>/sample_data.py`. Raises LaptopError with what it wrote to standard error."""
        script = MODELS / self.model / "sample_data.py"
        command = [str(JOBS_PYTHON), str(script), "--output", str(folder)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode:
            raise LaptopError(f"{script} ended with status {result.returncode}:\n{result.stderr[-2000:]}")


def month_of(key: str) -> str:
    """`period=2013-11/flights.parquet` → `period=2013-11`."""
    return key.split("/", 1)[0]


if __name__ == "__main__":
    seed(addresses(), models_with_data(), lambda name, seconds: None)
