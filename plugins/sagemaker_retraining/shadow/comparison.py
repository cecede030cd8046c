"""Which answers belong together, and how far they are apart."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from sagemaker_retraining.data_capture import Event
from sagemaker_retraining.predictions import predictions
from sagemaker_retraining.shadow.document import ShadowComparison, Spread

Pair = tuple[Event, Event]
MOST_ROWS = 10


def pair_up(production: Iterable[Event], shadow: Iterable[Event]) -> list[Pair]:
    """(production, shadow) of the same request: of the same InferenceId, else with the same body, in order of time.

    What was captured of one variant only is left out: each variant's capture may draw its own sample.
    """
    waiting: defaultdict[str, deque[Event]] = defaultdict(deque)
    for event in sorted(shadow, key=lambda event: event.at):
        waiting[event.inference_id or event.request].append(event)
    return [
        (event, found.popleft())
        for event in sorted(production, key=lambda event: event.at)
        if (found := waiting[event.inference_id or event.request])
    ]


def compare(pairs: Sequence[Pair], tolerance: float) -> ShadowComparison:
    """How the answers differ. Numbers are compared one by one, an answer with several rows gives several."""
    rows: list[tuple[float, str, float, float]] = []
    not_numbers = 0
    for production, shadow in pairs:
        before, after = numbers(production.answer), numbers(shadow.answer)
        if before is None or after is None or len(before) != len(after):
            not_numbers += 1
            continue
        requests = production.request.splitlines()
        if len(requests) != len(before):
            requests = [production.request] * len(before)
        for request, old, new in zip(requests, before, after, strict=True):
            rows.append((abs(new - old), request, old, new))
    values = [(old, new) for *_, old, new in rows]
    apart = sorted(distance for distance, *_ in rows)
    largest = sorted(rows, key=lambda row: -row[0])[:MOST_ROWS]
    return {
        "pairs": len(pairs),
        "predictions": len(values),
        "not_numbers": not_numbers,
        "same_share": sum(distance <= tolerance for distance in apart) / len(apart) if apart else None,
        "production": spread([old for old, _ in values]),
        "shadow": spread([new for _, new in values]),
        "difference": {
            "mean": statistics.fmean(new - old for old, new in values) if values else None,
            "p50": percentile(apart, 50),
            "p90": percentile(apart, 90),
            "p99": percentile(apart, 99),
            "max": apart[-1] if apart else None,
        },
        "correlation": correlation(values),
        "values": values,
        "largest": [(request, old, new) for _, request, old, new in largest],
    }


def numbers(answer: str) -> list[float] | None:
    """The numbers of an answer in CSV, JSON or JSON lines; None for anything else, and where one is not finite."""
    found = predictions(answer)
    return found if found is not None and all(map(math.isfinite, found)) else None


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation."""
    return {
        "mean": statistics.fmean(values) if values else None,
        "standard_deviation": statistics.pstdev(values) if values else None,
    }


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The nearest rank of sorted values: of a few, the 99th is the largest."""
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1] if ordered else None


def correlation(values: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's, of the two models' predictions; None when one of them does not vary."""
    try:
        return statistics.correlation(*zip(*values, strict=True)) if values else None
    except statistics.StatisticsError:
        return None
