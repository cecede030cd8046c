"""`kill -9` while a training job runs: exactly one job is ever created, and the run ends well."""

from __future__ import annotations

from tests.chaos.runs import Run
from tests.chaos.stack import AIRFLOW
from tests.chaos.world import World


def kill_worker(world: World) -> str:
    """The worker process of a task that waits on it (a deferred one has none)."""
    run = world.run("chaos_waiting")
    run.wait_for_training("running")
    world.stack.kill_worker(run.instance_id("train"))
    return ends_well(world, run, "attached by try {tries}")


def kill_triggerer(world: World) -> str:
    """The triggerer that holds the wait."""
    return kill_and_restart(world, "triggerer")


def kill_scheduler(world: World) -> str:
    """The scheduler, its workers included."""
    return kill_and_restart(world, "scheduler")


def kill_airflow(world: World) -> str:
    """All of Airflow."""
    return kill_and_restart(world, *AIRFLOW)


def kill_and_restart(world: World, *components: str) -> str:
    """Kill while train is deferred, and start again."""
    run = world.run()
    run.wait_for_training("deferred")
    world.stack.kill(*components)
    world.stack.start(*components)
    return ends_well(world, run, "waited on, try {tries}")


def ends_well(world: World, run: Run, words: str) -> str:
    """Success with one job."""
    world.expect_success(run)
    world.expect_jobs(run)
    return "run ended well; the one job was " + words.format(tries=run.task("train").tries)
