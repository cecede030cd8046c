"""Which job is which: the generation in its name, and whether it was started from a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A request of CreateProcessingJob, CreateTrainingJob or CreateTransformJob: `JobKind` has the names of the members that
# all three have, each spelled after its kind, so that one operator sends them all.
JobRequest = dict[str, Any]


def generation_of(name: str) -> int:
    """`…-g2` → 2; a name without the suffix is generation 0."""
    _, mark, number = name.rpartition("-g")
    return int(number) if mark and number.isdigit() else 0


def first_difference(request: Any, description: Any, path: str = "") -> str | None:
    """The first member of a request that the described job does not have, as a path; None when it is that job.

    Describe adds members and defaults, so only what was asked for is compared; tags are not described.
    """
    if isinstance(request, Mapping) and isinstance(description, Mapping):
        for key, value in request.items():
            if key != "Tags" and (found := first_difference(value, description.get(key), f"{path}.{key}".lstrip("."))):
                return found
        return None
    if isinstance(request, list) and isinstance(description, list) and len(request) == len(description):
        pairs = enumerate(zip(request, description, strict=True))
        return next((found for i, (a, b) in pairs if (found := first_difference(a, b, f"{path}[{i}]"))), None)
    return None if request == description else path
