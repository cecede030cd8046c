"""What is known of AWS's images: which are SageMaker's own algorithms, their Python, the end of their patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

FIRST_PARTY = frozenset({"sagemaker-xgboost"})
"""Repositories that SageMaker counts among its algorithms, also in script mode: they bring their own
MetricDefinitions and take no others. Its other framework images (scikit-learn, PyTorch, …) take them."""


def repository(uri: str) -> str:
    """The repository's name in an image's URI: `sagemaker-xgboost`."""
    return uri.partition("/")[2].partition("@")[0].partition(":")[0]


def is_first_party(uri: str, lock: Mapping[str, Any]) -> bool:  # folders of folders of URIs
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


@dataclass(frozen=True)
class Release:
    """A version of one of AWS's images: the Python that runs scripts in it, and the day its patches end."""

    python: tuple[int, int]
    patched_until: date


RELEASES = {
    ("sagemaker-xgboost", "3.0-5"): Release((3, 10), date(2026, 11, 17)),
    ("sagemaker-xgboost", "3.2-0"): Release((3, 12), date(2027, 5, 13)),
}
"""https://github.com/aws/deep-learning-containers, `docker/xgboost/` and `docs/src/data/sagemaker-xgboost/` (eop)."""


def release_of(uri: str) -> Release | None:
    """What is known of an image by its repository and the version its tag begins with; None of any other image."""
    tag = uri.partition("/")[2].partition("@")[0].partition(":")[2]
    for (name, version), release in RELEASES.items():
        if repository(uri) == name and (tag == version or tag.startswith(f"{version}-")):
            return release
    return None


def newest_release(uri: str) -> tuple[str, Release]:
    """The version of the image's repository that is patched longest."""
    versions = [(version, release) for (name, version), release in RELEASES.items() if name == repository(uri)]
    return max(versions, key=lambda item: item[1].patched_until)
