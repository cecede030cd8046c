"""SageMaker's API fails, or answers and nobody hears it."""

from __future__ import annotations

from tests.chaos.runs import RUN_SECONDS, Run
from tests.chaos.waiting import require, until
from tests.chaos.world import World

RUNS_AT_ONCE = 3
CREATES = (
    "CreateProcessingJob",
    "CreateTrainingJob",
    "CreateModelPackageGroup",
    "CreateModelPackage",
    "CreateModel",
    "CreateEndpointConfig",
    "CreateEndpoint",
)


def failing_calls(world: World) -> str:
    """30 % of the calls throttled, 5 % answered with a 500, 5 % dropped: all runs end well, nothing is there twice."""
    with world.cloud.faults(throttle_percent=30, error_percent=5, drop_percent=5):
        runs = [world.run("chaos_quick") for _ in range(RUNS_AT_ONCE)]
        for run in sorted(runs, key=version):  # when a later version of the month is approved, an earlier one is not
            world.expect_success(run)
        counts = world.cloud.fault_counts()
    expect_no_duplicates(world, runs)
    lost = counts["throttled"] + counts["errors"] + counts["dropped"]
    return f"all runs ended well; {lost} of {counts['calls']} calls failed"


def version(run: Run) -> int:
    """The number of the version that the run registers, once it has."""
    arn = until(f"{run.id} registers its version", run.registered, RUN_SECONDS)
    return int(arn.rpartition("/")[2])


def lost_answer(world: World) -> str:
    """Each create call of a run is carried out once without an answer: attached, not duplicated; no try is spent."""
    with world.cloud.faults(lose_answer=[{"operation": name, "times": 1} for name in CREATES]):
        run = world.run("chaos_lost")
        world.expect_success(run)
        counts = world.cloud.fault_counts()
    expect_no_duplicates(world, [run])
    again = [name for name, task in world.api.tasks(run.dag_id, run.id).items() if task.tries > 1]
    require(not again, f"tried again: {', '.join(again)}")
    return f"run ended well; {counts['lost']} answers lost, attached each time"


def expect_no_duplicates(world: World, runs: list[Run]) -> None:
    """One job per step and run, one version per run, a model for each version at most, one endpoint."""
    for run in runs:
        world.expect_jobs(run)
        for step in ("preprocess", "evaluate"):
            world.tally.expect(f"{step} jobs", run.jobs(step), 1)
    versions = {run.returned("register")["model_package_arn"] for run in runs}
    trained = {run.returned("train")["model_artifact"] for run in runs}
    group = runs[0].returned("register")["group"]
    mine = [arn for arn in world.cloud.packages(group) if world.cloud.artifact(arn) in trained]
    world.tally.expect("versions", mine, len(versions))
    deployed = {run.returned("deploy")["model"] for run in runs}
    endpoint = runs[0].returned("deploy")["endpoint"]
    world.tally.expect("models", world.cloud.models_of(mine), len(deployed))
    world.tally.expect("endpoints", world.cloud.endpoints(endpoint), 1)
