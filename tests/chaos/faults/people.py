"""People interfere: in Airflow's UI, and in SageMaker's console."""

from __future__ import annotations

import time

from tests.chaos.runs import Run
from tests.chaos.waiting import require, until
from tests.chaos.world import World

# The first time, a triggerer takes ten seconds on a busy machine to find out whether the task is still wanted.
STOP_SECONDS = 45
END_SECONDS = 240


def mark_failed_deferred(world: World) -> str:
    """Marked failed while deferred: the job stops within seconds."""
    return mark(world, "chaos_slow", "deferred", "failed")


def mark_failed_running(world: World) -> str:
    """Marked failed while it waits on its worker: the job stops within seconds."""
    return mark(world, "chaos_waiting", "running", "failed")


def mark_success_deferred(world: World) -> str:
    """Marked success while deferred: nobody wants the job's result any more, it stops within seconds."""
    return mark(world, "chaos_slow", "deferred", "success")


def mark(world: World, variant: str, state: str, mark: str) -> str:
    """Mark, and watch the job; the run fails, a task marked success has no model for those after it."""
    run = world.run(variant)
    name = run.wait_for_training(state)
    run.mark("train", mark)
    seen = stops(world, name)
    expect_failed(world, run, mark)
    return f"{seen}; task {mark}"


def stops(world: World, name: str) -> str:
    """The job stops within seconds; how many it took."""
    asked = time.monotonic()
    status = until(f"{name} stops", lambda: next_status(world, name, ("Stopping", "Stopped")), STOP_SECONDS)
    return f"job {status} after {time.monotonic() - asked:.1f} s"


def next_status(world: World, name: str, wanted: tuple[str, ...]) -> str | None:
    """The job's status if it is one of these."""
    status = world.cloud.training_status(name)
    return status if status in wanted else None


def stopped_in_console(world: World) -> str:
    """Stopped by someone else: the task fails at once, says so, and nothing is started again."""
    run = world.run("chaos_slow")
    name = run.wait_for_training("deferred")
    world.cloud.api.stop_training_job(TrainingJobName=name)
    expect_failed(world, run)
    require("stopped from outside" in run.log("train"), f"the log does not say so:\n{run.log('train')}")
    tries = run.task("train").tries
    require(tries == 1, f"train was tried {tries} times")
    return "task failed at its first try: stopped from outside"


def expect_failed(world: World, run: Run, train: str = "failed") -> None:
    """The run fails, train ends so, and one job was ever created."""
    require(run.end(END_SECONDS) == "failed", "the run did not fail")
    require(run.task("train").state == train, f"train is {run.task('train').state}")
    world.expect_jobs(run)


def cleared(world: World) -> str:
    """Cleared from train after success: a new generation, and nothing of the old one is touched."""
    run = world.run("chaos_quick")
    world.expect_success(run)
    before = artefacts(run)
    run.clear("train")
    world.expect_success(run)
    first, second = world.expect_jobs(run, 2)
    after = artefacts(run)
    touched = [key for key, version in before.items() if after.get(key) != version]
    require(not touched, f"{len(touched)} of {len(before)} old objects touched: {', '.join(sorted(touched))}")
    artifact = run.returned("train")["model_artifact"]
    require(second in artifact, f"{artifact} is not the artefact of {second}")
    return f"{first} → …{second.removeprefix(first)}; {len(before)} old objects untouched"


def cleared_live(world: World) -> str:
    """Cleared while its job runs: that job stops, the next generation does the work, and both never run at once."""
    run = world.run()
    name = run.wait_for_training("deferred")
    run.clear("train")
    world.expect_success(run)
    first, second = world.expect_jobs(run, 2)
    stopped, done = world.cloud.training(first), world.cloud.training(second)
    status = stopped["TrainingJobStatus"]
    require((first, status) == (name, "Stopped"), f"{first} is {status}")
    ended, created = stopped["TrainingEndTime"], done["CreationTime"]
    require(ended <= created, f"{second} was created at {created}, before {first} had ended at {ended}")
    return f"{first} Stopped, then …{second.removeprefix(first)}"


def artefacts(run: Run) -> dict[str, tuple[str, str]]:
    """All objects of the run, its checkpoints included."""
    plan = run.plan
    return run.cloud.objects(f"s3://{plan['bucket']}/{plan['prefix']}") | run.cloud.objects(plan["checkpoints_uri"])
