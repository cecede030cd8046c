"""`make bench`: what it costs to put an object into S3 of the local SageMaker and get it back, beside a file alone."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

from include.laptop.layout import Addresses
from include.laptop.stack import seeds
from include.laptop.stack.clients import client

SIZES = {"1_kb": (1024, 500), "1_mb": (1024 * 1024, 50)}
"""Bytes of an object and how many of them, by the name of the figure."""


def bench_s3(where: Addresses, folder: Path) -> dict[str, Any]:
    """Medians in milliseconds: `put`, `get`, and `file` to write and read the same bytes without a server."""
    return {f"s3_{name}": _figures(client("s3", where), folder, *size) for name, size in SIZES.items()}


def _figures(s3: Any, folder: Path, size: int, count: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {"put": [], "get": [], "file": []}
    for number in range(count):
        body = os.urandom(size)
        object_ = {"Bucket": seeds.BUCKET, "Key": f"bench/s3/{size}/{number}"}
        file = folder / "object"
        started = time.perf_counter()
        s3.put_object(**object_, Body=body)
        put = time.perf_counter()
        s3.get_object(**object_)["Body"].read()
        got = time.perf_counter()
        file.write_bytes(body)
        file.read_bytes()
        seconds["put"].append(put - started)
        seconds["get"].append(got - put)
        seconds["file"].append(time.perf_counter() - got)
    return {f"{name}_ms": statistics.median(values) * 1000 for name, values in seconds.items()}
