"""What is known of AWS's images: which of them are SageMaker's own algorithms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FIRST_PARTY = frozenset({"sagemaker-xgboost"})
"""Repositories that SageMaker counts among its algorithms, also in script mode: they bring their own
MetricDefinitions and take no others. Its other framework images (scikit-learn, PyTorch, …) take them."""


def repository(uri: str) -> str:
    """The repository's name in an image's URI: `sagemaker-xgboost`."""
    return uri.partition("/")[2].partition("@")[0].partition(":")[0]


def is_first_party(uri: str, lock: Mapping[str, Any]) -> bool:
    """Whether the image is one of SageMaker's algorithms, by the registries in the lock of images.

    A copy in a registry of one's own is an image of one's own.
    """
    registries = {known.partition("/")[0] for known in _uris(lock) if repository(known) in FIRST_PARTY}
    return repository(uri) in FIRST_PARTY and uri.partition("/")[0] in registries


def _uris(lock: Any) -> Iterator[str]:
    if isinstance(lock, Mapping):
        for part in lock.values():
            yield from _uris(part)
    else:
        yield str(lock)
