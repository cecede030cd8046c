"""What people see of a backfill: the months as they go on, and at the end the metric by month."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.laptop.backfill.result import Month
from include.laptop.run.progress import LiveView
from include.laptop.stack.airflow_api import FINISHED, Task
from sagemaker_retraining.requests.approval import short_name

BARS = "▁▂▃▄▅▆▇█"


class MonthProgress(LiveView):
    """The months of a backfill: a table that renews itself on a terminal, one line per change elsewhere."""

    def __init__(self, console: Console, periods: list[str], metric: str) -> None:
        super().__init__(console)
        self._rows = dict.fromkeys(periods, ("waiting", ""))
        self._metric = metric

    def working(self, period: str, step: str) -> None:
        """The month is at this step."""
        self._change(period, (step, ""))

    def ended(self, month: Month) -> None:
        """The month's run has ended."""
        outcome = "ended" if month.ended_well else "failed"
        self._change(month.period, (outcome, f"{month.seconds:3.0f} s  {outcome_text(month, self._metric)}"))

    def _change(self, period: str, row: tuple[str, str]) -> None:
        if self._rows[period] == row:
            return
        self._rows[period] = row
        if self._live:
            self._live.update(self._table())
            return
        ended = [state for state, _ in self._rows.values() if state in ("ended", "failed")]
        count = f"{len(ended):2}/{len(self._rows)}"
        line = f"  {count}  {period}  {row[0]:<12} {row[1]}".rstrip()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        view = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("month", "now", ""):
            view.add_column(heading)
        for period, (state, detail) in self._rows.items():
            style = {"ended": "green", "failed": "red", "waiting": "dim"}.get(state, "cyan")
            view.add_row(period, Text(state, style=style), Text(detail))
        return view


def current_step(order: list[str], tasks: dict[str, Task]) -> str:
    """The first task of a run that has not ended."""
    return next((name for name in order if name in tasks and tasks[name].state not in FINISHED), "ending")


def outcome_text(month: Month, metric: str) -> str:
    """`flight-delay/3, auc 0.7732`, or what kept the month from becoming a version."""
    if month.model_package_arn:
        return f"{short_name(month.model_package_arn)}, {metric} {number(month.metrics['challenger'], metric)}"
    if month.gate and not month.gate["passed"]:
        return f"refused: {month.gate['reason']}"
    return month.error or month.state


def print_table(console: Console, months: list[Month], metric: str) -> None:
    """Metric by month of both models, the gate's decision with its reason, and the version; and its curve."""
    heading = f"{'month':<8} {metric:>8} {'champion':>9} {'seconds':>8}  {'version':<18} gate"
    console.print(f"\n{heading.rstrip()}", style="bold", highlight=False)
    for month in months:
        challenger, champion = number(month.metrics["challenger"], metric), number(month.metrics["champion"], metric)
        version = short_name(month.model_package_arn) if month.model_package_arn else "none"
        line = (
            f"{month.period:<8} {challenger:>8} {champion:>9} {month.seconds:>8.0f}  {version:<18} {gate_text(month)}"
        )
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    print_curves(console, months, metric)


def print_curves(console: Console, months: list[Month], metric: str) -> None:
    """Both models' metric over the months, on one scale; a curve takes two months."""
    curves = {
        "challenger": [(month.metrics["challenger"] or {}).get(metric) for month in months],
        "champion": [(month.metrics["champion"] or {}).get(metric) for month in months],
    }
    known = [value for values in curves.values() for value in values if value is not None]
    for who, values in curves.items():
        if sum(value is not None for value in values) > 1:
            bars = sparkline(values, min(known), max(known))
            console.print(f"{who:<11} {bars}  {metric} {min(known):.4f} to {max(known):.4f}", highlight=False)


def gate_text(month: Month) -> str:
    """`passed: …`, `refused: …`, or why the run did not get that far."""
    if month.gate is None:
        return f"not reached; {month.error or month.state}"
    text = f"{'passed' if month.gate['passed'] else 'refused'}: {month.gate['reason']}"
    return text if month.ended_well else f"{text}; then {month.error or month.state}"


def number(metrics: dict[str, float | None] | None, metric: str) -> str:
    """A metric with four decimals, `-` when it is not there."""
    value = (metrics or {}).get(metric)
    return "-" if value is None else f"{value:.4f}"


def sparkline(values: list[float | None], low: float, high: float) -> str:
    """One bar per value, an eighth of the height for `low` and all of it for `high`; a gap for None."""
    span = (high - low) or 1.0
    return "".join(" " if value is None else BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)
