"""How a transform job cuts its input into requests: what the request says, else the container, else the default."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from include.sagemaker_local.containers.model_server import Answer
from include.sagemaker_local.jobs.transform_data import MEGABYTE

_STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}
_DEFAULTS = {"MaxConcurrentTransforms": 1, "MaxPayloadInMB": 6, "BatchStrategy": "MULTI_RECORD"}


@dataclass(frozen=True)
class BatchSettings:
    """Requests at once, megabytes in one (0: no limit), and whether each has a single record."""

    concurrent: int
    payload_megabytes: int
    single: bool

    @classmethod
    def of(cls, job: dict[str, Any], parameters: Answer | None) -> BatchSettings:
        """`parameters` is the container's answer to `GET /execution-parameters`, which it need not know."""
        settings = {**_DEFAULTS, **_parsed(parameters), **_requested(job)}
        return cls(
            settings["MaxConcurrentTransforms"],
            settings["MaxPayloadInMB"],
            settings["BatchStrategy"] == "SINGLE_RECORD",
        )

    @property
    def payload_bytes(self) -> int:
        """The limit of one request in bytes."""
        return self.payload_megabytes * MEGABYTE

    def __str__(self) -> str:
        strategy = "SINGLE_RECORD" if self.single else "MULTI_RECORD"
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.payload_megabytes}, "
            f"BatchStrategy={strategy}"
        )


def container_environment(job: dict[str, Any]) -> dict[str, str]:
    """The variables that tell a container of its transform job: SAGEMAKER_BATCH, and what the request asks for."""
    names = {
        "MaxConcurrentTransforms": "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
        "MaxPayloadInMB": "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        "BatchStrategy": "SAGEMAKER_BATCH_STRATEGY",
    }
    return {"SAGEMAKER_BATCH": "true", **{names[name]: str(value) for name, value in _requested(job).items()}}


def _requested(job: dict[str, Any]) -> dict[str, Any]:
    """What CreateTransformJob was given; MaxConcurrentTransforms 0 means not given."""
    given = {name: job[name] for name in _DEFAULTS if name in job}
    if not given.get("MaxConcurrentTransforms", 1):
        del given["MaxConcurrentTransforms"]
    if "BatchStrategy" in given:
        given["BatchStrategy"] = _STRATEGIES[given["BatchStrategy"]]
    return given


def _parsed(parameters: Answer | None) -> dict[str, Any]:
    if parameters is None or parameters.status != 200:
        return {}
    try:
        content = json.loads(parameters.body)
    except ValueError:
        return {}
    return {name: content[name] for name in _DEFAULTS if name in content} if isinstance(content, dict) else {}
