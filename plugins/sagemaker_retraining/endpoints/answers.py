"""The endpoint's answers beside the predictions that the evaluation computed, row by row."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sagemaker_retraining.endpoints.invocation import Invoker, ModelAnswerError, Row
from sagemaker_retraining.predictions import predictions
from sagemaker_retraining.shadow import percentile
from sagemaker_retraining.xcom import VerifyResult

LONGEST_TEXT = 200


@dataclass
class AnswerComparison:
    """Offline predictions against the endpoint's answers, row by row."""

    tolerance: float
    seconds: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    errors: int = 0

    def add(self, row: Row, invoke: Invoker) -> None:
        """Send one row and compare its answer."""
        started = time.perf_counter()
        try:
            answer = invoke(row)
        except ModelAnswerError as error:
            self.errors += 1
            return self.note(row, f"the model fails: {' '.join(str(error).split())[:LONGEST_TEXT]}")
        finally:
            self.seconds.append(time.perf_counter() - started)
        numbers = predictions(answer.decode(errors="replace"))
        if numbers is None or len(numbers) != 1:
            self.errors += 1
            return self.note(row, f"endpoint {answer[:LONGEST_TEXT]!r}, which is no number")
        [online] = numbers
        self.differences.append(abs(online - row["prediction"]))
        # NaN is not within any tolerance.
        return None if self.differences[-1] <= self.tolerance else self.note(row, f"endpoint {online!r}")

    def note(self, row: Row, text: str) -> None:
        """Remember a row for the error's text."""
        self.wrong.append(f"{row['body'][:LONGEST_TEXT]}: offline {row['prediction']!r}, {text}")

    def result(self) -> VerifyResult:
        """The figures of all answers."""
        return {
            "requests": len(self.seconds),
            "max_difference": max(self.differences, default=None),
            "p50_ms": self.latency(50),
            "p90_ms": self.latency(90),
            "p99_ms": self.latency(99),
        }

    def latency(self, percent: float) -> float:
        """A percentile of the answers' times, in milliseconds."""
        return round(1000 * (percentile(sorted(self.seconds), percent) or 0), 2)
