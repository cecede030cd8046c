"""Runs the faults one after another, prints what was seen, and writes it down."""

from __future__ import annotations

import json
import sys
import time
from typing import TypedDict

from rich.console import Console

from include.laptop.layout import LOCAL, LOGS
from tests.chaos.faults import FAULTS
from tests.chaos.stack import Stack
from tests.chaos.waiting import NotHeld
from tests.chaos.world import Fault, World

RESULTS = LOCAL.with_name("chaos.json")


class FaultResult(TypedDict):
    """A member of the list in chaos.json: what one fault did, and whether everything held."""

    fault: str
    runs: int
    jobs_created: int
    duplicates: int
    """Resources that are there more often than they should be."""
    outcome: str
    """What was seen, in a sentence."""
    ok: bool


def run_suite(names: list[str]) -> int:
    """Exit status 0 only when all of these faults hold; 2 for a name that is none."""
    console = Console(highlight=False, soft_wrap=True)
    if unknown := [name for name in names if name not in FAULTS]:
        sys.stderr.write(f"{unknown[0]} is not a fault; there are: {', '.join(FAULTS)}\n")
        return 2
    results: list[FaultResult] = []
    started = time.monotonic()
    stack = Stack()
    try:
        with console.status("Starting Airflow and the local SageMaker"):
            stack.up()
        for name in names or FAULTS:
            with console.status(f"{name}: {FAULTS[name].__doc__}"):
                begun = time.monotonic()
                results.append(run_fault(World(stack), name, FAULTS[name]))
            print_result(console, results[-1], time.monotonic() - begun)
    finally:
        RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
        with console.status("Stopping"):
            stack.down()
    held = sum(result["ok"] for result in results)
    console.print(
        f"{held} of {len(results)} faults held in {time.monotonic() - started:.0f} s; {RESULTS}, logs in {LOGS}"
    )
    return 0 if held == len(results) else 1


def run_fault(world: World, name: str, fault: Fault) -> FaultResult:
    """The fault's line in chaos.json."""
    try:
        outcome, ok = fault(world), True
    except NotHeld as error:
        outcome, ok = str(error), False
    except Exception as error:  # the other faults are still to be seen
        outcome, ok = f"{type(error).__name__}: {error}", False
    return {
        "fault": name,
        "runs": world.tally.runs,
        "jobs_created": world.tally.jobs_created,
        "duplicates": world.tally.duplicates,
        "outcome": outcome,
        "ok": ok,
    }


def print_result(console: Console, result: FaultResult, seconds: float) -> None:
    """One line; what went wrong may take more."""
    mark = "[green]ok    [/]" if result["ok"] else "[red]FAILED[/]"
    counts = f"runs {result['runs']}, jobs {result['jobs_created']}, duplicates {result['duplicates']}"
    console.print(f"{mark} {result['fault']:<21} {counts:<29} {seconds:>6.1f} s  ", end="")
    console.print(result["outcome"], markup=False)
