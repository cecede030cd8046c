"""The retraining DAG as it is, but for its clock: deadlines in seconds, retries at once, nothing that is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG
from airflow.timetables.simple import NullTimetable

from sagemaker_retraining.dags import retraining_dag

DEADLINE_SECONDS = 20


def release_dag(model: str) -> DAG:
    """The DAG of one of the models."""
    dag = retraining_dag(model)
    for task in dag.tasks:
        task.retry_delay = timedelta(seconds=2)
    if model == "two_months":
        dag.end_date = datetime(2024, 5, 1, tzinfo=UTC)  # for backfills; nothing is due
    else:
        dag.timetable = NullTimetable()
    if model.startswith("deadline_"):
        waiting: Any = [dag.get_task("approval"), dag.get_task("review")]
        for task in waiting:
            task.timeout_seconds = DEADLINE_SECONDS
    return dag
