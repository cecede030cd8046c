"""The decision: thresholds first, then the champion, on the same month."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sagemaker_retraining.gate.document import GateCheck, GateResult, ModelComparison, QualityGateConfig
from sagemaker_retraining.gate.evaluation import Evaluation, read_evaluation

# Enough for any metric, few enough that 0.7 - 0.705 reaches a tolerance of 0.005.
DIGITS = 12


@dataclass(frozen=True)
class GateDecision:
    """Whether the challenger may be registered, why, and the metrics of both models.

    `comparison` is that of `metric`; `not_compared` says why a champion that there is was not compared with;
    `on_failure` is what a refusal does (`fail`, `skip`, `register_rejected`).
    """

    passed: bool
    reason: str
    on_failure: str
    metric: str
    challenger: dict[str, float]
    champion: dict[str, float] | None
    comparison: ModelComparison | None
    not_compared: str | None
    checks: tuple[GateCheck, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> GateResult:
        """As XCom and gate.json have it."""
        return {
            "passed": self.passed,
            "reason": self.reason,
            "on_failure": self.on_failure,
            "metric": self.metric,
            "challenger": finite_or_none(self.challenger),
            "champion": finite_or_none(self.champion) if self.champion is not None else None,
            "comparison": self.comparison,
            "not_compared": self.not_compared,
            "checks": list(self.checks),
            "warnings": list(self.warnings),
        }


def finite_or_none(values: dict[str, float]) -> dict[str, float | None]:
    """None for NaN and infinities, which PostgreSQL's JSON does not know."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def decide_gate(document: Any, config: QualityGateConfig, uri: str = "evaluation.json") -> GateDecision:
    """Hold `evaluation.json` against the plan's `quality_gate`. Raises EvaluationError, naming `uri`.

    What was not measured is not good: a metric of the challenger that is not finite, or a test month without rows, is
    refused. A champion that could not be scored decides nothing: the thresholds do, and the reason says so.
    """
    metric = config["metric"]
    needed = {metric, *config["minimum"], *config["maximum"]}
    evaluation = read_evaluation(document, problem=config["problem"], metric=metric, needed=needed, uri=uri)
    why = not_compared(evaluation, config)
    check, compared, warnings = against_champion(evaluation, config, why)
    checks = [*thresholds(evaluation, config), *([check] if check else [])]
    failures = [check["said"] for check in checks if not check["met"]]
    passing = "all thresholds met" if config["minimum"] or config["maximum"] else "no thresholds set"
    # What a refusal for another reason leaves open is sentence as well: a missing comparison is never silent.
    reason = "; ".join([*failures, *([compared] if warnings else [])] if failures else [passing, compared])
    return GateDecision(
        passed=not failures,
        reason=reason,
        on_failure=config["on_failure"],
        metric=metric,
        challenger=evaluation.challenger,
        champion=evaluation.champion,
        comparison=evaluation.comparison,
        not_compared=why,
        checks=tuple(checks),
        warnings=(*warnings, *evaluation.warnings),
    )


def thresholds(evaluation: Evaluation, config: QualityGateConfig) -> list[GateCheck]:
    """One check per threshold, and one where the test month or the compared metric was not measured."""
    if evaluation.rows == 0:
        return [gate_check("test rows", "0", "at least 1", False, "the test month has no rows: nothing was measured")]
    checks, values = [], evaluation.challenger
    if not math.isfinite(value := values[config["metric"]]):
        checks.append(not_measured(config["metric"], value))
    for bound, word, limits in (("minimum", "at least", config["minimum"]), ("maximum", "at most", config["maximum"])):
        for metric, threshold in limits.items():
            value = values[metric]
            if not math.isfinite(value):
                checks += [not_measured(metric, value)] if metric != config["metric"] else []
                continue
            met = value >= threshold if bound == "minimum" else value <= threshold
            sentence = f"{metric} {value:.4f} {'meets' if met else 'misses'} its {bound} of {threshold:g}"
            checks.append(gate_check(metric, f"{value:.4f}", f"{word} {threshold:g}", met, sentence))
    return checks


def gate_check(subject: str, found: str, required: str, met: bool, sentence: str) -> GateCheck:
    """A check; see GateCheck."""
    return {"subject": subject, "found": found, "required": required, "met": met, "said": sentence}


def not_measured(metric: str, value: float) -> GateCheck:
    """A metric that is NaN or infinite."""
    return gate_check(metric, f"{value}", "a finite number", False, f"{metric} is {value}: it was not measured")


def against_champion(
    evaluation: Evaluation, config: QualityGateConfig, why: str | None
) -> tuple[GateCheck | None, str, list[str]]:
    """The check of the comparison (None: there is nothing to check), a sentence about it, and warnings.

    `why` is what `not_compared` says.
    """
    metric, champion, comparison = config["metric"], evaluation.champion, evaluation.comparison
    if why:
        sentence = f"not compared with the champion, the thresholds alone decide: {why}"
        return None, sentence, [sentence]
    if champion is None:
        return None, "no champion to compare with", []
    if comparison is None:  # the challenger's value is not finite, which is a failed check of its own
        return None, "", []
    found = format_comparison(comparison)
    numbers = f"{metric} {evaluation.challenger[metric]:.4f} against the champion's {champion[metric]:.4f} ({found})"
    required, met, verdict = judge(comparison, config)
    sentence = f"{verdict}: {numbers}"
    return gate_check(f"{metric} against the champion", found, required, met, sentence), sentence, []


def not_compared(evaluation: Evaluation, config: QualityGateConfig) -> str | None:
    """Why a champion that is there cannot be compared with; None when it can, or when there is none."""
    metric, champion = config["metric"], evaluation.champion
    if evaluation.rows == 0:
        return None
    if error := evaluation.champion_error or config.get("champion_error"):
        return f"it could not be scored: {error}"
    if champion is None and config.get("champion"):
        return f"evaluate was given {config['champion']} and wrote neither its metrics nor a champion_error"
    if champion is not None and not math.isfinite(champion[metric]):
        return f"its {metric} is {champion[metric]}"
    return None


def judge(comparison: ModelComparison, config: QualityGateConfig) -> tuple[str, bool, str]:
    """What is required of the comparison, whether it is met, and that in words."""
    gain, worst = gains(comparison, config["direction"])
    tolerance = config["tolerance"]
    match config["require"]:
        case "nothing":
            return "nothing", True, "compared for the record"
        case "better":
            met = worst > 0
            verdict = "better than" if met else "not better than" if gain <= 0 else "not shown to be better than"
            return "gain above 0", met, f"{verdict} the champion"
        case _:
            met = worst >= -tolerance
            verdict = "not worse than" if met else "worse than" if gain < -tolerance else "may be worse than"
            return f"loss of at most {tolerance:g}", met, f"{verdict} the champion (tolerance {tolerance:g})"


def gains(comparison: ModelComparison, direction: str) -> tuple[float, float]:
    """How much better the challenger is, and the worse end of that: the value itself where there is no interval."""
    low, high = comparison["confidence_interval"] or (comparison["difference"], comparison["difference"])
    gain, worst = (comparison["difference"], low) if direction == "maximize" else (-comparison["difference"], -high)
    return round(gain, DIGITS), round(worst, DIGITS)


def format_comparison(comparison: ModelComparison) -> str:
    """`+0.0067, 95 % interval +0.0010 to +0.0120`"""
    if comparison["confidence_interval"] is None:
        return f"{comparison['difference']:+.4f}, no interval"
    low, high = comparison["confidence_interval"]
    confidence = f"{100 * comparison['confidence']:g} % " if comparison["confidence"] else ""
    return f"{comparison['difference']:+.4f}, {confidence}interval {low:+.4f} to {high:+.4f}"
