"""Why a task failed, out of Airflow's task logs (one JSON object per line)."""

from __future__ import annotations

import json
from typing import Any

from include.laptop.layout import AIRFLOW_HOME


def last_lines(dag_id: str, run_id: str, task_id: str, count: int = 12) -> list[str]:
    """The last lines of the task's last attempt, exceptions as `Type: message`."""
    folder = AIRFLOW_HOME / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
    attempts = sorted(folder.glob("attempt=*.log"), key=lambda file: file.stat().st_mtime)
    if not attempts:
        return [f"(no log in {folder})"]
    lines = [readable(line) for line in attempts[-1].read_text(errors="replace").splitlines()]
    return [line for line in lines if "::group::" not in line and "::endgroup::" not in line][-count:]


def reason(lines: list[str]) -> str:
    """The line that says why: the last error."""
    errors = [line for line in lines if line.startswith(("error", "critical"))]
    return (errors or lines or [""])[-1].removeprefix("error ").removeprefix("critical ")


def readable(line: str) -> str:
    """`<level> <event>` of a log line; a line that is not JSON as it is."""
    try:
        record: dict[str, Any] = json.loads(line)
        text = f"{record.get('level', '')} {record['event']}".strip()
        details = [f"{error['exc_type']}: {error['exc_value']}" for error in record.get("error_detail") or []]
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    return f"{record.get('level', 'error')} {details[-1]}" if details else text
