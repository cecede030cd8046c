"""Names, hashes and tags: the same for every try of a run, and within SageMaker's limits."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from sagemaker_retraining.period import Period

LONGEST_NAME = 63
LONGEST_TAG_VALUE = 256
_JOB_NAME_KEYS = ("TrainingJobName", "ProcessingJobName")


def short_hash(*parts: str, length: int = 8) -> str:
    """The first hexadecimal digits of a SHA-256 over the parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:length]


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON-able value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def job_name(slug: str, step: str, period: Period, run_hash: str) -> str:
    """`flight-delay-train-201311-1a2b3c4d`, with room for a generation."""
    return f"{slug}-{step}-{period.compact}-{run_hash}"


def with_generation(request: Mapping[str, Any], generation: int) -> dict[str, Any]:
    """The job request under the name of its `generation`: 0 is the plain name, n is `<name>-g<n>`.

    Raises ValueError for a request that is not a job's, and for a name that becomes too long.
    """
    key = next((key for key in _JOB_NAME_KEYS if key in request), None)
    if key is None or generation < 0:
        raise ValueError(
            f"generation {generation} of a request with {sorted(request)}: expected one of {_JOB_NAME_KEYS}"
        )
    name = f"{request[key]}-g{generation}" if generation else str(request[key])
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{key} {name!r} has {len(name)} characters; SageMaker allows {LONGEST_NAME}")
    return {**copy.deepcopy(dict(request)), key: name}


def clean_tag(value: str) -> str:
    """`value` as a tag may have it: at most 256 letters, digits, spaces and `_.:/=+-@`; anything else becomes `-`."""
    return re.sub(r"[^\w .:/=+\-@]", "-", value)[:LONGEST_TAG_VALUE]


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As SageMaker takes them."""
    return [{"Key": key, "Value": clean_tag(value)} for key, value in tags.items()]
