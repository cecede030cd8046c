"""What the quality gate is given, and what it leaves in its XCom and in gate.json."""

from __future__ import annotations

from typing import Literal, TypedDict


class QualityGateConfig(TypedDict):
    """Of `quality_gate` in plan.json: thresholds by metric, and how `metric` is compared with the champion's.

    `champion` is the version's ARN; `champion_error` says why the plan knows already that it cannot be scored.
    """

    problem: str
    minimum: dict[str, float]
    maximum: dict[str, float]
    metric: str
    direction: Literal["maximize", "minimize"]
    require: Literal["not_worse", "better", "nothing"]
    tolerance: float
    on_failure: Literal["fail", "skip", "register_rejected"]
    kms_key_arn: str | None
    champion: str | None
    champion_error: str | None


class ModelComparison(TypedDict):
    """Challenger minus champion of one metric, in its unit; interval, confidence and samples are None if not given."""

    difference: float
    confidence_interval: list[float] | None
    confidence: float | None
    samples: int | None


class GateCheck(TypedDict):
    """One requirement: of what, what was found and wanted, whether it is met; `said` is all this as a sentence."""

    subject: str
    found: str
    required: str
    met: bool
    said: str


class GateResult(TypedDict):
    """The decision; a metric that is not finite is None, because PostgreSQL's JSON knows no NaN."""

    passed: bool
    reason: str
    on_failure: str
    metric: str
    challenger: dict[str, float | None]
    champion: dict[str, float | None] | None
    comparison: ModelComparison | None
    not_compared: str | None
    checks: list[GateCheck]
    warnings: list[str]


class GateRecord(GateResult):
    """gate.json: the result, and what it was decided from."""

    config: QualityGateConfig
    evaluation: str
