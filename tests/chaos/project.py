"""The project the suite's Airflow works on: the small model of this folder in a few variants, and its raw data."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from include.laptop.layout import LOCAL, ROOT
from include.laptop.stack.seeds import BUCKET, SUCCESS

SOURCE = Path(__file__).with_name("project")
HOME = LOCAL / "project"
VARIANTS = ("chaos", "chaos_waiting", "chaos_slow", "chaos_spot", "chaos_scarce", "chaos_quick", "chaos_lost")
"""Models that differ in their name, in what environments/local.yaml says of them, and in their endpoint."""
PERIOD = "2024-02"
MONTHS = ("2023-12", "2024-01", PERIOD)
ROWS = 100


def make_project(source: Path, variants: Sequence[str]) -> None:
    """Copy DAGs and environments of a source, and the model once per variant."""
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(source / "dags", HOME / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(source / "include" / "environments", HOME / "include" / "environments")
    shutil.copy(ROOT / "include" / "images.lock.yaml", HOME / "include")
    model = SOURCE / "include" / "models" / "chaos"
    for variant in variants:
        copy = HOME / "include" / "models" / variant
        shutil.copytree(model, copy, ignore=shutil.ignore_patterns("__pycache__"))
        text = (copy / "model.yaml").read_text()
        (copy / "model.yaml").write_text(text.replace("model: chaos\n", f"model: {variant}\n"))


def sow(s3: Any, variants: Sequence[str]) -> None:
    """The bucket and the raw months: points, and on which side of a line they are, a little blurred."""
    s3.create_bucket(Bucket=BUCKET)
    draw = random.Random(2024)  # noqa: S311 (test data)
    for month in MONTHS:
        points = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(ROWS)]
        lines = [f"{x!r},{y!r},{int(x - 2 * y + draw.gauss(0, 0.5) > 0)}\n" for x, y in points]
        for variant in variants:
            folder = f"{variant}/raw/period={month}"
            s3.put_object(Bucket=BUCKET, Key=f"{folder}/points.csv", Body="".join(lines).encode())
            s3.put_object(Bucket=BUCKET, Key=f"{folder}/{SUCCESS}", Body=b"")
