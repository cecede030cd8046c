"""Spot takes the instance away, or never gives one."""

from __future__ import annotations

from itertools import pairwise

from include.sagemaker_local.state.spot import SpotRule
from tests.chaos.cloud import rounds_in
from tests.chaos.runs import Run
from tests.chaos.waiting import require
from tests.chaos.world import World

INTERRUPTIONS = 3


def spot_interruptions(world: World) -> str:
    """Three interruptions: resumed each time, at most one interval repeated, the same model as without."""
    run = world.run("chaos_spot")
    name = run.job_name()
    rule: SpotRule = {"job": f"{name}*", "after_checkpoints": 1, "gap_seconds": 0.5, "times": INTERRUPTIONS}
    with world.cloud.spot(rule):
        world.expect_success(run)
    calm = world.run("chaos_spot")  # afterwards: of two versions of a month that wait, the later one supersedes
    world.expect_success(calm)
    for each in (run, calm):
        world.expect_jobs(each)
    result = run.returned("train")
    require(result["interruptions"] == INTERRUPTIONS, f"XCom says {result['interruptions']} interruptions")
    repeated = repeated_rounds(world, name)
    interval = int(run.plan["train"]["HyperParameters"]["checkpoint_every"])
    require(len(repeated) == INTERRUPTIONS, f"resumed {len(repeated)} times instead of {INTERRUPTIONS}")
    require(max(repeated) <= interval, f"rounds repeated: {repeated}; the checkpoint interval is {interval}")
    require(predictions(run) == predictions(calm), "the predictions differ from those of the uninterrupted run")
    return f"resumed {INTERRUPTIONS} times; rounds repeated {repeated} of {interval} at most; same predictions"


def repeated_rounds(world: World, name: str) -> list[int]:
    """Per interruption, how many rounds were done again. Raises NotHeld when one started from nothing."""
    attempts = world.cloud.attempts(name)
    starts = [int(lines[0].removeprefix("from round ")) for lines in attempts]
    require(all(start > 0 for start in starts[1:]), f"started again from nothing: from rounds {starts}")
    lasts = [max(rounds_in(lines), default=start) for lines, start in zip(attempts, starts, strict=True)]
    return [last - start for (last, _), (_, start) in pairwise(zip(lasts, starts, strict=True))]


def predictions(run: Run) -> list[float]:
    """What the run's final model says of the sample."""
    return run.cloud.predictions(f"{run.returned('evaluate')['outputs']['evaluation']}sample.jsonl")


def no_spot_capacity(world: World) -> str:
    """Spot never gets an instance: the next try is on demand, and the run ends well and says so."""
    run = world.run("chaos_scarce")
    with world.cloud.spot({"job": "chaos-scarce-*", "no_capacity": True}):
        world.expect_success(run)
    spot, on_demand = world.expect_jobs(run, 2)
    result = run.returned("train")
    require(result["name"] == on_demand, f"the result is that of {result['name']}, not of {on_demand}")
    require(result["spot"] is False, f"XCom says spot: {result['spot']}")
    status = world.cloud.training(spot)["SecondaryStatus"]
    return f"run ended well; {status} on Spot, then on demand; XCom says spot: false"
