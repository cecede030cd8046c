"""The report for the person who approves: one HTML file that needs nothing else, and its pictures as PNG files."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from string import Template
from typing import Any, Protocol

import charts
import numpy as np
import pandas as pd
from features import FEATURES, TARGET
from metrics import LOWER_IS_BETTER

SHOWN = {
    "auc": "Area under the ROC curve", "average_precision": "Average precision", "log_loss": "Log loss",
    "brier": "Brier score", "accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1",
}  # fmt: skip
TILES = ("auc", "average_precision", "log_loss", "brier")


class ScoredModel(Protocol):
    """What the report needs to know of a model."""

    described: dict[str, Any]
    scores: np.ndarray
    threshold: float


def write_report(
    folder: Path, evaluation: dict[str, Any], models: dict[str, ScoredModel], test: pd.DataFrame, facts: dict[str, Any]
) -> None:
    """Write `report.html` and one PNG per picture into `folder`. The gate fills in the template's decision later."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for name, figure in figures(evaluation, models, test).items():
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=144)
        (folder / f"{name}.png").write_bytes(png.getvalue())
        data = base64.b64encode(png.getvalue()).decode()
        pictures.append(f'<img alt="{name.replace("_", " ")}" src="data:image/png;base64,{data}">')
    page = Template(Path(__file__).with_name("report.template.html").read_text())
    (folder / "report.html").write_text(
        page.substitute(
            period=html.escape(evaluation["holdout"]["period"]),
            verdict=verdict(evaluation),
            tiles="".join(tile(evaluation, name) for name in TILES),
            pictures="".join(pictures),
            metrics=metrics_table(evaluation),
            samples=f"{evaluation['bootstrap']['samples']:,}",
            confidence=confidence(evaluation),
            confusion=confusion_tables(evaluation, models),
            facts=facts_table(facts, test),
        )
    )


def figures(evaluation: dict[str, Any], models: dict[str, ScoredModel], test: pd.DataFrame) -> dict[str, Any]:
    """File name -> figure, in the order of the page."""
    late, days = test[TARGET].to_numpy(), test["date"].dt.day.to_numpy()
    scores = {name: model.scores for name, model in models.items()}
    challenger = models["challenger"]
    shares = {name: model.described["importance"] for name, model in models.items() if "importance" in model.described}
    auc, average = ({name: value_of(evaluation, name, metric) for name in models} for metric in TILES[:2])
    return {
        "roc": charts.draw(charts.roc, late, scores, auc),
        "precision_recall": charts.draw(charts.precision_recall, late, scores, average),
        "calibration": charts.draw(charts.calibration, late, scores),
        "scores": charts.draw(charts.score_distribution, late, challenger.scores, challenger.threshold),
        "importance": charts.draw(charts.importance, shares),
        "by_day": charts.draw(charts.by_day, days, late, scores),
    }


def of(evaluation: dict[str, Any], model: str) -> dict[str, Any]:
    """The `binary_classification_metrics` of "challenger" or "champion"."""
    part = evaluation if model == "challenger" else evaluation["champion"]
    metrics: dict[str, Any] = part["binary_classification_metrics"]
    return metrics


def value_of(evaluation: dict[str, Any], model: str, metric: str) -> float:
    """One metric's value."""
    return float(of(evaluation, model)[metric]["value"])


def confidence(evaluation: dict[str, Any]) -> str:
    """That of the intervals, in percent."""
    return f"{100 * evaluation['bootstrap']['confidence']:g}"


def verdict(evaluation: dict[str, Any]) -> str:
    """The result in a sentence or two."""
    auc = of(evaluation, "challenger")["auc"]
    text = f"The challenger reaches an AUC of <b>{auc['value']:.3f}</b> (± {auc['standard_deviation']:.3f})"
    if error := evaluation["champion_error"]:
        return f"{text}. <b>The champion could not be scored</b>, so that there is no comparison: {html.escape(error)}"
    if evaluation["champion"] is None:
        return f"{text}. There is no champion yet to compare it with."
    change = evaluation["comparison"]["auc"]
    low, high = change["confidence_interval"]
    clear = "better" if low > 0 else "worse" if high < 0 else "not clearly different"
    return (
        f"{text}, the champion {value_of(evaluation, 'champion', 'auc'):.3f}: a difference of "
        f"<b>{change['difference']:+.3f}</b>, {confidence(evaluation)} % interval {low:+.3f} to {high:+.3f}. "
        f"It is <b>{clear}</b>."
    )


def tile(evaluation: dict[str, Any], metric: str) -> str:
    """One big number, with the champion's below."""
    champion = "champion not scored" if evaluation["champion_error"] else "no champion yet"
    if evaluation["champion"]:
        champion = f"champion {value_of(evaluation, 'champion', metric):.3f}"
    return (
        f'<div class="tile"><span>{SHOWN[metric]}</span>'
        f"<strong>{value_of(evaluation, 'challenger', metric):.3f}</strong><small>{champion}</small></div>"
    )


def metrics_table(evaluation: dict[str, Any]) -> str:
    """All metrics, with standard deviations and, with a champion, the paired difference."""
    compared = ["Champion", "Difference", f"{confidence(evaluation)} % interval"] if evaluation["champion"] else []
    heads = ["Metric", "Challenger", *compared]
    return table(heads, [metric_row(evaluation, name) for name in SHOWN])


def metric_row(evaluation: dict[str, Any], name: str) -> list[str]:
    """One line of the table of metrics; a clear difference is coloured."""
    cells = [SHOWN[name] + (" (lower is better)" if name in LOWER_IS_BETTER else "")]
    for model in ("challenger", *(["champion"] if evaluation["champion"] else [])):
        metric = of(evaluation, model)[name]
        cells.append(f"{metric['value']:.4f} <small>± {metric['standard_deviation']:.4f}</small>")
    if evaluation["champion"]:
        change = evaluation["comparison"][name]
        low, high = change["confidence_interval"]
        better = -1 if name in LOWER_IS_BETTER else 1
        shade = "" if low <= 0 <= high else "good" if change["difference"] * better > 0 else "bad"
        cells += [f'<span class="{shade}">{change["difference"]:+.4f}</span>', f"{low:+.4f} to {high:+.4f}"]
    return cells


def confusion_tables(evaluation: dict[str, Any], models: dict[str, ScoredModel]) -> str:
    """A confusion matrix for each model, at its own threshold."""
    parts = []
    for name, model in models.items():
        counts = of(evaluation, name)["confusion_matrix"]
        rows = [
            [was, *(f"{counts[true][called]:,}" for called in "01")] for true, was in (("0", "punctual"), ("1", "late"))
        ]
        heads = ["Was", "Called punctual", "Called late"]
        parts.append(f"<h3>{name.capitalize()}, late from {model.threshold:.3f}</h3>{table(heads, rows)}")
    return "".join(parts)


def facts_table(facts: dict[str, Any], test: pd.DataFrame) -> str:
    """What the data were."""
    late = facts["late_share"]
    rows = [[f"{name} flights", f"{count:,}, {late[name]:.1%} late"] for name, count in facts["rows"].items()]
    missing = test[list(FEATURES)].isna().mean().sort_values(ascending=False).head(3)
    rows += [
        ["history", " to ".join(facts["history"])],
        ["scheduled in the test month", f"{facts['scheduled']:,}"],
        ["cancelled or diverted, left out", f"{facts['cancelled_or_diverted']:,}"],
        ["most often missing", ", ".join(f"{name} {share:.0%}" for name, share in missing.items())],
    ]
    return table(["Fact", "Value"], rows)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """An HTML table; the cells are HTML."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
