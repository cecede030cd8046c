"""A triggerer stalls, loses its waits to another one, and wakes: it must not take that for a person's wish to stop."""

from __future__ import annotations

import socket
import time
from collections import Counter

from include.laptop.layout import AIRFLOW_HOME, HOST
from include.laptop.stack.airflow_api import FINISHED
from tests.chaos.runs import STEP_SECONDS
from tests.chaos.waiting import require, until
from tests.chaos.world import World
from tests.conftest import free_port

DAG_ID = "chaos_waits"
STALL_SECONDS = 60
STALLED = "stalled triggerer"


def stalled_triggerer(world: World) -> str:
    """SIGSTOP for 60 s to the triggerer that holds 20 waits: another one takes them, no job is stopped."""
    run_id, port = f"chaos-waits-{int(time.time())}", free_port()
    until(f"{DAG_ID} is loaded", lambda: world.api.has_dag(DAG_ID), STEP_SECONDS)
    world.api.unpause(DAG_ID)
    world.api.trigger(DAG_ID, run_id, {"port": port})
    world.tally.runs += 1
    until("all tasks are deferred", lambda: all_deferred(world, run_id), STEP_SECONDS)
    holder = until("one triggerer has all waits", lambda: only_holder(world, run_id), STEP_SECONDS)
    world.stack.second(STALLED, "triggerer")
    until("there are two triggerers", lambda: triggerers(world) == 2, STEP_SECONDS)
    try:
        with world.stack.stalled(STALLED):
            stopped = time.monotonic()
            until(
                "the other one has all waits",
                lambda: only_holder(world, run_id) not in (None, holder),
                STALL_SECONDS,
            )
            time.sleep(max(0.0, stopped + STALL_SECONDS - time.monotonic()))
        until("the one that woke has let go", lambda: cancelled(run_id) == waits(world, run_id), STEP_SECONDS)
    finally:
        with socket.create_server((HOST, port), backlog=128):  # the jobs may end
            until("the run ends", lambda: states(world, run_id).keys() <= FINISHED, STEP_SECONDS)
        world.stack.kill(STALLED)
    return all_ended_well(world, run_id)


def states(world: World, run_id: str) -> Counter[str]:
    """How many of the run's tasks are in each state."""
    return Counter(task.state for task in world.api.tasks(DAG_ID, run_id).values())


def all_deferred(world: World, run_id: str) -> bool:
    """Raises NotHeld when a task has failed instead."""
    found = states(world, run_id)
    require("failed" not in found, f"tasks: {dict(found)}")
    return found.keys() == {"deferred"}


def waits(world: World, run_id: str) -> int:
    """The number of tasks."""
    return states(world, run_id).total()


def only_holder(world: World, run_id: str) -> int | None:
    """The triggerer (id of its job in Airflow) that holds all of the run's waits; None while there is no such one."""
    found = world.api.get(f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
    held = {(item["triggerer_job"] or {}).get("id") for item in found}
    return held.pop() if len(held) == 1 else None


def triggerers(world: World) -> int:
    """How many are alive."""
    return int(world.api.get("jobs", job_type="TriggererJob", is_alive=True)["total_entries"])


def cancelled(run_id: str) -> int:
    """The number of waits that Airflow cancelled as after a person's action."""
    logs = (AIRFLOW_HOME / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}").glob("task_id=*/*.trigger.*")
    return sum("cancelled by user action" in log.read_text(errors="replace") for log in logs)


def all_ended_well(world: World, run_id: str) -> str:
    """Every task succeeded at its first try, with the one job that was ever created for it."""
    pages = world.cloud.api.get_paginator("list_processing_jobs").paginate(NameContains=run_id)
    jobs = {
        job["ProcessingJobName"]: job["ProcessingJobStatus"] for page in pages for job in page["ProcessingJobSummaries"]
    }
    world.tally.jobs_created += len(jobs)
    tasks = world.api.tasks(DAG_ID, run_id).values()
    world.tally.expect("jobs", sorted(jobs), len(tasks))
    ended = Counter(jobs.values())
    require(ended.keys() == {"Completed"}, f"jobs: {dict(ended)}")
    require({(task.state, task.tries) for task in tasks} == {("success", 1)}, f"tasks: {dict(states(world, run_id))}")
    return f"{len(tasks)} waits changed hands and were cancelled; all jobs Completed, none was stopped"
