"""Live progress: a table that renews itself on a terminal, one line per change elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from include.laptop.stack.airflow_api import FINISHED, Task

STYLES = {"success": "green", "failed": "red", "upstream_failed": "red", "skipped": "yellow", "": "dim"}
SHOWN = {"": "waiting", "none": "waiting", "up_for_retry": "will retry", "deferred": "running", "scheduled": "queued"}


class LiveView:
    """What is shown as it changes. A context manager, because the live table must be taken down."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()


class Progress(LiveView):
    """The tasks of a run."""

    def __init__(self, console: Console, order: list[str]) -> None:
        super().__init__(console)
        self._order = order
        self._printed: dict[str, str] = {}

    def show(self, tasks: dict[str, Task], details: dict[str, str]) -> None:
        """The state of now. `details` says more about a task: its job's status, who approved."""
        if self._live:
            self._live.update(table(self._order, tasks, details))
            return
        for task_id in self._order:
            task = tasks.get(task_id)
            if task and task.state:
                self._print_change(task, details.get(task_id, ""))

    def say(self, text: str) -> None:
        """A sentence between the changes; on a terminal it stands above the table."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def _print_change(self, task: Task, detail: str) -> None:
        state = SHOWN.get(task.state, task.state)
        if state == "queued" or self._printed.get(task.id) == f"{state} {detail}":
            return
        self._printed[task.id] = f"{state} {detail}"
        seconds = f"{task.seconds:6.1f} s" if task.state in FINISHED else " " * 8
        again = f"  (try {task.tries})" if task.tries > 1 else ""
        self._console.print(
            f"  {task.id:<13} {state:<10} {seconds}  {detail}{again}".rstrip(), highlight=False, soft_wrap=True
        )


def table(order: list[str], tasks: dict[str, Task], details: dict[str, str]) -> Table:
    """One row per task: state, tries, seconds, detail."""
    view = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (
        ("task", "left"),
        ("state", "left"),
        ("tries", "right"),
        ("seconds", "right"),
        ("", "left"),
    ):
        view.add_column(heading, justify=justify, no_wrap=heading != "")  # type: ignore[arg-type]
    for task_id in order:
        task = tasks.get(task_id) or Task(task_id, "", 0, None, None)
        state = Text(SHOWN.get(task.state, task.state), style=STYLES.get(task.state, "cyan"))
        seconds = f"{task.seconds:.1f}" if task.started_at else ""
        view.add_row(task_id, state, str(task.tries or ""), seconds, details.get(task_id, ""))
    return view
