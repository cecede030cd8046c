"""What the comparison of a shadow with production holds."""

from __future__ import annotations

from typing import TypedDict


class Spread(TypedDict):
    """Of one model's predictions; None where there are none."""

    mean: float | None
    standard_deviation: float | None


class Differences(TypedDict):
    """Shadow minus production: `mean` has its sign, the others are distances."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


class ShadowFigures(TypedDict):
    """How the answers differ; what has no value (no pairs, no variance) is None.

    `same_share` is the share of predictions that are no further apart than the tolerance.
    """

    pairs: int
    predictions: int
    not_numbers: int
    same_share: float | None
    production: Spread
    shadow: Spread
    difference: Differences
    correlation: float | None


class ShadowComparison(ShadowFigures):
    """The figures, all predictions as `(production, shadow)`, and the rows that differ most with their requests."""

    values: list[tuple[float, float]]
    largest: list[tuple[str, float, float]]


class VariantTraffic(TypedDict):
    """What CloudWatch has counted of a variant: requests, errors, and the model's latency in milliseconds."""

    invocations: int
    errors_4xx: int
    errors_5xx: int
    latency_ms: float | None
    max_latency_ms: float | None


class ShadowFacts(TypedDict):
    """What was compared. `versions`, `traffic` and `captured` (events that were read) are by `production`, `shadow`."""

    endpoint: str
    versions: dict[str, str]
    hours: float
    traffic: dict[str, VariantTraffic]
    captured: dict[str, int]
    report: str


class ShadowDocument(ShadowFacts, ShadowComparison):
    """comparison.json, and what the page shows."""
