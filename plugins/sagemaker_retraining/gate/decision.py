"""The decision: thresholds first, then the champion, on the same month."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sagemaker_retraining.gate.evaluation import Comparison, Evaluation, read_evaluation

# Enough for any metric, few enough that 0.7 - 0.705 reaches a tolerance of 0.005.
DIGITS = 12


@dataclass(frozen=True)
class Check:
    """One requirement: of what, what was found and wanted, whether it is met; `said` is all this as a sentence."""

    subject: str
    found: str
    required: str
    met: bool
    said: str


@dataclass(frozen=True)
class Decision:
    """Whether the challenger may be registered, why, and the numbers: `{metric: value}` of both models.

    `comparison` is that of `metric`; `not_compared` says why a champion that there is was not compared with;
    `on_failure` is what a refusal does (`fail`, `skip`, `register_rejected`).
    """

    passed: bool
    reason: str
    on_failure: str
    metric: str
    challenger: dict[str, float]
    champion: dict[str, float] | None
    comparison: Comparison | None
    not_compared: str | None
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For XCom and gate.json. What is not finite becomes None: PostgreSQL's JSON knows no NaN."""
        result = asdict(self)
        for model in ("challenger", "champion"):
            if values := result[model]:
                result[model] = {name: value if math.isfinite(value) else None for name, value in values.items()}
        if self.comparison and self.comparison.confidence_interval:
            result["comparison"]["confidence_interval"] = list(self.comparison.confidence_interval)
        return {**result, "checks": list(result["checks"]), "warnings": list(self.warnings)}


def decide(document: Any, config: Mapping[str, Any], uri: str = "evaluation.json") -> Decision:
    """Hold `evaluation.json` against the plan's `quality_gate`. Raises EvaluationError, naming `uri`.

    `config` is `{problem, minimum: {metric: value}, maximum: {metric: value}, metric, direction, require, tolerance,
    on_failure, champion: ARN or None, champion_error}`. What was not measured is not good: a metric of the challenger
    that is not finite, or a test month without rows, is refused. A champion that could not be scored decides nothing:
    the thresholds do, and the reason says so.
    """
    metric = config["metric"]
    needed = {metric, *config["minimum"], *config["maximum"]}
    evaluation = read_evaluation(document, problem=config["problem"], metric=metric, needed=needed, uri=uri)
    why = not_compared(evaluation, config)
    check, compared, warnings = against_champion(evaluation, config, why)
    checks = [*thresholds(evaluation, config), *([check] if check else [])]
    failures = [check.said for check in checks if not check.met]
    passing = "all thresholds met" if config["minimum"] or config["maximum"] else "no thresholds set"
    # What a refusal for another reason leaves open is said as well: a missing comparison is never silent.
    reason = "; ".join([*failures, *([compared] if warnings else [])] if failures else [passing, compared])
    return Decision(
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


def thresholds(evaluation: Evaluation, config: Mapping[str, Any]) -> list[Check]:
    """One check per threshold, and one where the test month or the compared metric was not measured."""
    if evaluation.rows == 0:
        return [Check("test rows", "0", "at least 1", False, "the test month has no rows: nothing was measured")]
    checks, values = [], evaluation.challenger
    if not math.isfinite(value := values[config["metric"]]):
        checks.append(not_measured(config["metric"], value))
    for bound, word in (("minimum", "at least"), ("maximum", "at most")):
        for metric, threshold in config[bound].items():
            value = values[metric]
            if not math.isfinite(value):
                checks += [not_measured(metric, value)] if metric != config["metric"] else []
                continue
            met = value >= threshold if bound == "minimum" else value <= threshold
            said = f"{metric} {value:.4f} {'meets' if met else 'misses'} its {bound} of {threshold:g}"
            checks.append(Check(metric, f"{value:.4f}", f"{word} {threshold:g}", met, said))
    return checks


def not_measured(metric: str, value: float) -> Check:
    """A metric that is NaN or infinite."""
    return Check(metric, f"{value}", "a finite number", False, f"{metric} is {value}: it was not measured")


def against_champion(
    evaluation: Evaluation, config: Mapping[str, Any], why: str | None
) -> tuple[Check | None, str, list[str]]:
    """The check of the comparison (None: there is nothing to check), a sentence about it, and warnings.

    `why` is what `not_compared` says.
    """
    metric, champion, comparison = config["metric"], evaluation.champion, evaluation.comparison
    if why:
        said = f"not compared with the champion, the thresholds alone decide: {why}"
        return None, said, [said]
    if champion is None:
        return None, "no champion to compare with", []
    if comparison is None:  # the challenger's value is not finite, which is a failed check of its own
        return None, "", []
    found = describe(comparison)
    numbers = f"{metric} {evaluation.challenger[metric]:.4f} against the champion's {champion[metric]:.4f} ({found})"
    required, met, verdict = judge(comparison, config)
    said = f"{verdict}: {numbers}"
    return Check(f"{metric} against the champion", found, required, met, said), said, []


def not_compared(evaluation: Evaluation, config: Mapping[str, Any]) -> str | None:
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


def judge(comparison: Comparison, config: Mapping[str, Any]) -> tuple[str, bool, str]:
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


def gains(comparison: Comparison, direction: str) -> tuple[float, float]:
    """How much better the challenger is, and the worse end of that: the value itself where there is no interval."""
    low, high = comparison.confidence_interval or (comparison.difference, comparison.difference)
    gain, worst = (comparison.difference, low) if direction == "maximize" else (-comparison.difference, -high)
    return round(gain, DIGITS), round(worst, DIGITS)


def describe(comparison: Comparison) -> str:
    """`+0.0067, 95 % interval +0.0010 to +0.0120`"""
    if comparison.confidence_interval is None:
        return f"{comparison.difference:+.4f}, no interval"
    low, high = comparison.confidence_interval
    confidence = f"{100 * comparison.confidence:g} % " if comparison.confidence else ""
    return f"{comparison.difference:+.4f}, {confidence}interval {low:+.4f} to {high:+.4f}"
