"""Names, hashes and tags: the same for every try of a run, and within SageMaker's limits."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sagemaker_retraining.period import Period

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import TagTypeDef

LONGEST_NAME = 63
LONGEST_TAG_VALUE = 256
_JOB_NAME_KEYS = ("TrainingJobName", "ProcessingJobName", "TransformJobName")
# Whose a resource is; the other tags say which run made it.
_OWNERSHIP = ("project", "model", "env")


def short_hash(*parts: str) -> str:
    """The first 8 hexadecimal digits of a SHA-256 over the parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON-able value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def job_name(slug: str, step: str, period: Period, run_hash: str) -> str:
    """`flight-delay-train-201311-1a2b3c4d`, with room for a generation."""
    return f"{slug}-{step}-{period.compact}-{run_hash}"


def with_generation(request: Mapping[str, Any], generation: int, first: int = 0) -> dict[str, Any]:
    """The request of a job of any kind, of its `generation`: 0 is the request as planned, n is named `<name>-g<n>`.

    A processing job of generation n writes beside the outputs of the earlier ones (`…/test-g<n>/`), so that what they
    left stays as it is. Training checkpoints go with `first`, the generation that began from nothing: the tries after
    it resume from its prefix, and a training that is to be done again gets a fresh one (`<run_key>-g<first>/`).
    Raises ValueError for a request that is not a job's, and for a name that becomes too long.
    """
    key = next((key for key in _JOB_NAME_KEYS if key in request), None)
    if key is None or generation < 0:
        raise ValueError(
            f"generation {generation} of a request with {sorted(request)}: expected one of {_JOB_NAME_KEYS}"
        )
    attempt = copy.deepcopy(dict(request))
    attempt[key] = f"{request[key]}-g{generation}" if generation else str(request[key])
    if len(attempt[key]) > LONGEST_NAME:
        raise ValueError(f"{key} {attempt[key]!r} has {len(attempt[key])} characters; SageMaker allows {LONGEST_NAME}")
    for output in attempt.get("ProcessingOutputConfig", {}).get("Outputs", []):
        output["S3Output"]["S3Uri"] = _beside(output["S3Output"]["S3Uri"], generation)
    if "CheckpointConfig" in attempt:
        attempt["CheckpointConfig"]["S3Uri"] = _beside(attempt["CheckpointConfig"]["S3Uri"], first)
    return attempt


def on_demand(request: Mapping[str, Any]) -> dict[str, Any]:
    """The training request without Spot: both members go, SageMaker refuses one without the other."""
    attempt = copy.deepcopy(dict(request))
    attempt.pop("EnableManagedSpotTraining", None)
    attempt.get("StoppingCondition", {}).pop("MaxWaitTimeInSeconds", None)
    return attempt


def _beside(prefix: str, generation: int) -> str:
    return f"{prefix.rstrip('/')}-g{generation}/" if generation else prefix


def clean_tag(value: str) -> str:
    """`value` as a tag may have it: at most 256 letters, digits, spaces and `_.:/=+-@`; anything else becomes `-`."""
    return re.sub(r"[^\w .:/=+\-@]", "-", value)[:LONGEST_TAG_VALUE]


def ownership(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that say whose a resource is."""
    return {key: tags[key] for key in _OWNERSHIP if key in tags}


def tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """As SageMaker takes them."""
    return [{"Key": key, "Value": clean_tag(value)} for key, value in tags.items()]
