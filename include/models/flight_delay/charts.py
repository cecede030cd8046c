"""The report's pictures. Each function draws challenger and, when there is one, champion into a matplotlib figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

COLOURS = {"challenger": "#2563eb", "champion": "#d97706"}
INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
PUNCTUAL, LATE = "#94a3b8", "#dc2626"
SIZE = (6.4, 4.6)
CALIBRATION_BINS = 10
TOP_FEATURES = 15

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": MUTED,
    "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 12,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": GRID, "axes.axisbelow": True,
    "xtick.color": MUTED, "ytick.color": MUTED, "legend.frameon": False, "lines.linewidth": 2,
}  # fmt: skip

Scores = dict[str, np.ndarray]
"""Model ("challenger", "champion") -> its score for each flight."""


def draw(paint: Callable[..., None], *arguments: Any) -> Figure:
    """A figure with one pair of axes, painted by `paint(axes, *arguments)` in the report's style."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        paint(figure.subplots(), *arguments)
        return figure


def roc(axes: Axes, late: np.ndarray, scores: Scores, auc: dict[str, float]) -> None:
    """Receiver operating characteristic, with chance as a dashed line."""
    axes.plot([0, 1], [0, 1], linestyle="--", color=MUTED, linewidth=1, label="chance (AUC 0.500)")
    for name in reversed(scores):
        false_rates, true_rates, _ = roc_curve(late, scores[name])
        axes.plot(false_rates, true_rates, color=COLOURS[name], label=f"{name} (AUC {auc[name]:.3f})")
    axes.set(title="ROC: late flights found against false alarms", xlim=(0, 1), ylim=(0, 1.01),
             xlabel="share of punctual flights called late", ylabel="share of late flights called late")  # fmt: skip
    axes.legend(loc="lower right", reverse=True)


def precision_recall(axes: Axes, late: np.ndarray, scores: Scores, average: dict[str, float]) -> None:
    """Precision against recall, with the share of late flights as a dashed line."""
    axes.axhline(late.mean(), linestyle="--", color=MUTED, linewidth=1, label=f"chance ({late.mean():.3f})")
    for name in reversed(scores):
        precision, recall, _ = precision_recall_curve(late, scores[name], drop_intermediate=True)
        shown = recall > 0.002  # the first few flights alone make the curve jump
        axes.plot(recall[shown], precision[shown], color=COLOURS[name], label=f"{name} (AP {average[name]:.3f})")
    axes.set(title="Precision and recall", xlim=(0, 1), ylim=(0, 1.01),
             xlabel="recall: late flights called late", ylabel="precision: calls that were right")  # fmt: skip
    axes.legend(loc="upper right", reverse=True)


def calibration(axes: Axes, late: np.ndarray, scores: Scores) -> None:
    """Mean score against observed share of late flights, in bins of equally many flights."""
    top = 0.0
    for name in reversed(scores):
        bins = np.array_split(np.argsort(scores[name]), CALIBRATION_BINS)
        predicted = [scores[name][rows].mean() for rows in bins]
        observed = [late[rows].mean() for rows in bins]
        error = [np.sqrt(share * (1 - share) / len(rows)) for share, rows in zip(observed, bins, strict=True)]
        axes.errorbar(predicted, observed, yerr=2 * np.array(error), color=COLOURS[name], marker="o", markersize=5,
                      elinewidth=1, label=name)  # fmt: skip
        top = max(top, *predicted, *observed)
    axes.plot([0, 1], [0, 1], linestyle="--", color=MUTED, linewidth=1, label="perfect")
    limits = (0, min(1.0, top * 1.15))
    axes.set(title="Calibration: does 30 % mean 30 %?", xlim=limits, ylim=limits,
             xlabel="mean predicted probability, by tenth of the flights", ylabel="share that was late")  # fmt: skip
    axes.legend(loc="upper left", reverse=True)


def score_distribution(axes: Axes, late: np.ndarray, scores: np.ndarray, threshold: float) -> None:
    """How the challenger's scores of punctual and late flights overlap."""
    edges = np.linspace(0, min(1.0, float(scores.max()) * 1.02), 41)
    for value, colour, label in ((0, PUNCTUAL, "punctual"), (1, LATE, "late")):
        group = scores[late == value]
        axes.hist(group, bins=edges, weights=np.full(len(group), 100 / len(group)), color=colour, alpha=0.55,
                  label=f"{label} ({len(group):,})")  # fmt: skip
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle="--", label=f"threshold {threshold:.3f}")
    axes.set(title="Scores of the challenger", xlabel="predicted probability of a late arrival",
             ylabel="% of the group", xlim=(0, edges[-1]))  # fmt: skip
    axes.legend(loc="upper right")


def importance(axes: Axes, shares: dict[str, dict[str, float]]) -> None:
    """Share of the total gain by feature; the challenger's strongest on top."""
    names = sorted(shares["challenger"], key=lambda name: shares["challenger"][name])[-TOP_FEATURES:]
    height = 0.8 / len(shares)
    for place, (model, share) in enumerate(shares.items()):
        middle = np.arange(len(names)) + (len(shares) - 1) * height / 2 - place * height
        axes.barh(middle, [100 * share.get(name, 0.0) for name in names], height, color=COLOURS[model], label=model)
    axes.set_yticks(np.arange(len(names)), names)
    axes.grid(axis="y", visible=False)
    axes.set(title="What the model looks at", xlabel="% of the total gain")
    axes.legend(loc="lower right")


def by_day(axes: Axes, days: np.ndarray, late: np.ndarray, scores: Scores) -> None:
    """Observed and predicted share of late flights, day by day."""
    ticks, place = np.unique(days, return_inverse=True)
    counts = np.bincount(place)
    axes.bar(ticks, np.bincount(place, late) / counts * 100, color=PUNCTUAL, alpha=0.6, label="observed")
    for name in reversed(scores):
        axes.plot(ticks, np.bincount(place, scores[name]) / counts * 100, color=COLOURS[name], marker="o", markersize=3,
                  label=f"{name}, predicted")  # fmt: skip
    axes.grid(axis="x", visible=False)
    axes.set(title="Day by day", xlabel="day of the month", ylabel="% of flights late", xlim=(0.3, ticks[-1] + 0.7))
    axes.legend(loc="upper left", ncols=3, fontsize=9, reverse=True)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
