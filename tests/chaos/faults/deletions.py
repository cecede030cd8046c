"""People delete what waits for a training job: nobody can fetch its result any more, so it stops."""

from __future__ import annotations

from tests.chaos.faults.people import STOP_SECONDS, stops
from tests.chaos.runs import CONFLICT, Run
from tests.chaos.waiting import require, until
from tests.chaos.world import World


def deleted_run(world: World) -> str:
    """The DAG run, as far as Airflow lets one: not while it is running; marked failed and deleted at once."""
    run = world.run("chaos_slow")
    name = run.wait_for_training("deferred")
    refusal = run.delete()
    require(refusal == CONFLICT, f"Airflow answers {refusal} to the deletion of a running run")
    run.give_up()
    # A run with a teardown (`cleanup`) stays running until Airflow has looked at that once more.
    until("Airflow deletes the failed run", lambda: run.delete() != CONFLICT, STOP_SECONDS)
    return f"refused while running; then {gone(world, run, name)}"


def deleted_dag(world: World) -> str:
    """The DAG with all its runs, which Airflow allows while a task is deferred."""
    run = world.run("chaos_slow")
    name = run.wait_for_training("deferred")
    world.api.delete(f"dags/{run.dag_id}")
    seen = gone(world, run, name)
    # A scheduler that was just looking at the run ends with ObjectDeletedError; outside, its supervisor does this.
    world.stack.kill("scheduler")
    world.stack.start("scheduler")
    return seen


def gone(world: World, run: Run, name: str) -> str:
    """The run is not there any more, its one job stops."""
    seen = stops(world, name)
    require(world.api.get(f"dags/{run.dag_id}/dagRuns/{run.id}") is None, "the run is still there")
    jobs = world.cloud.jobs("train", name)
    world.tally.jobs_created += len(jobs)
    world.tally.expect("training jobs", jobs, 1)
    return f"{seen}; run deleted"
