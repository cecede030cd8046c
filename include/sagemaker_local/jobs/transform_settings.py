"""How a transform job cuts its input into requests: what the request says, else the container, else the default."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypedDict, cast

from include.sagemaker_local.containers.model_server import Answer
from include.sagemaker_local.jobs.job import TransformJob
from include.sagemaker_local.jobs.transform_data import MEGABYTE


class _Settings(TypedDict, total=False):
    """In the words of `GET /execution-parameters`."""

    MaxConcurrentTransforms: int
    MaxPayloadInMB: int
    BatchStrategy: str


_STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}
_DEFAULTS: _Settings = {"MaxConcurrentTransforms": 1, "MaxPayloadInMB": 6, "BatchStrategy": "MULTI_RECORD"}


@dataclass(frozen=True)
class BatchSettings:
    """Requests at once, megabytes in one (0: no limit), and whether each has a single record."""

    concurrent: int
    payload_megabytes: int
    single: bool

    @classmethod
    def of(cls, job: TransformJob, parameters: Answer | None) -> BatchSettings:
        """`parameters` is the container's answer to `GET /execution-parameters`, which it need not know."""
        settings: _Settings = {**_DEFAULTS, **_parsed(parameters), **_requested(job)}
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


def container_environment(job: TransformJob) -> dict[str, str]:
    """The variables that tell a container of its transform job: SAGEMAKER_BATCH, and what the request asks for."""
    names = {
        "MaxConcurrentTransforms": "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
        "MaxPayloadInMB": "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        "BatchStrategy": "SAGEMAKER_BATCH_STRATEGY",
    }
    return {"SAGEMAKER_BATCH": "true", **{names[name]: str(value) for name, value in _requested(job).items()}}


def _requested(job: TransformJob) -> _Settings:
    """What CreateTransformJob was given; MaxConcurrentTransforms 0 means not given."""
    given: _Settings = {}
    if concurrent := job.get("MaxConcurrentTransforms"):
        given["MaxConcurrentTransforms"] = concurrent
    if "MaxPayloadInMB" in job:
        given["MaxPayloadInMB"] = job["MaxPayloadInMB"]
    if "BatchStrategy" in job:
        given["BatchStrategy"] = _STRATEGIES[job["BatchStrategy"]]
    return given


def _parsed(parameters: Answer | None) -> _Settings:
    if parameters is None or parameters.status != 200:
        return {}
    try:
        content = json.loads(parameters.body)
    except ValueError:
        return {}
    known = {name: content[name] for name in _DEFAULTS if name in content} if isinstance(content, dict) else {}
    return cast("_Settings", known)
