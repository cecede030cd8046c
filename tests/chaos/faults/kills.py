"""Processes are killed or drained while a training job runs: exactly one job is ever created, the run ends well."""

from __future__ import annotations

from tests.chaos.runs import Run
from tests.chaos.stack import AIRFLOW
from tests.chaos.waiting import require
from tests.chaos.world import World

GRACE_SECONDS = 4


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


def drained_worker(world: World) -> str:
    """SIGTERM to the worker process of a task that waits on it, SIGKILL when its time is over."""
    run = world.run("chaos_waiting")
    name = run.wait_for_training("running")
    world.stack.drain_worker(run.instance_id("train"), GRACE_SECONDS)
    return goes_on(world, run, name)


def drained_scheduler(world: World) -> str:
    """The same to the scheduler and all its workers at once; then there is a scheduler again."""
    run = world.run("chaos_waiting")
    name = run.wait_for_training("running")
    world.stack.drain("scheduler", GRACE_SECONDS)
    world.stack.start("scheduler")
    return goes_on(world, run, name)


def goes_on(world: World, run: Run, name: str) -> str:
    """Unlike a task nobody wants, a drained one leaves its job alone, and its next try attaches."""
    log = run.log("train")
    require("goes on: the task is still to run" in log, f"the drained task does not say that the job goes on:\n{log}")
    status = world.cloud.training_status(name)
    require(status == "InProgress", f"{name} is {status}")
    seen = ends_well(world, run, "attached by try {tries}")
    require(run.task("train").tries > 1, "there was no second try")
    return seen


def ends_well(world: World, run: Run, words: str) -> str:
    """Success with one job."""
    world.expect_success(run)
    world.expect_jobs(run)
    return "run ended well; the one job was " + words.format(tries=run.task("train").tries)
