"""End another task of the same run, from a task that knows that nobody needs it any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
PATIENCE_SECONDS = 60
LOOK_EVERY_SECONDS = 0.5


def close_task(context: Context, task_id: str, log: Any) -> None:
    """Skip the task unless it has ended; one that is at work gets a minute to end or to wait for input again.

    It is what Airflow's SkipMixin asks the execution API to do, which takes a task in any state but running and
    ended, `awaiting_input` included; SkipMixin itself only works for a task that succeeds.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import SkipDownstreamTasks

    deadline = time.monotonic() + PATIENCE_SECONDS
    while (state := task_state(context, task_id)) not in FINISHED:
        if time.monotonic() > deadline:
            log.warning("%s is still %s and is left alone", task_id, state)
            return
        if state == "running":
            time.sleep(LOOK_EVERY_SECONDS)
        else:
            task_runner.SUPERVISOR_COMMS.send(SkipDownstreamTasks(tasks=[task_id]))
            log.info("%s was %s and is closed", task_id, state or "not started")


def task_state(context: Context, task_id: str) -> str | None:
    """The state of a task of this run; None before it is scheduled."""
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id])
    state: str | None = states.get(ti.run_id, {}).get(task_id)
    return state
