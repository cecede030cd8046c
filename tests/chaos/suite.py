"""Runs the faults one after another, says what was seen, and writes it down."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.console import Console

from include.laptop.layout import LOCAL, LOGS
from tests.chaos.faults import AT_ONCE, FAULTS
from tests.chaos.stack import Stack
from tests.chaos.waiting import NotHeld
from tests.chaos.world import Fault, World

RESULTS = LOCAL.with_name("chaos.json")


def run_suite(names: list[str]) -> int:
    """Exit status 0 only when all of these faults hold; 2 for a name that is none."""
    console = Console(highlight=False, soft_wrap=True)
    if unknown := [name for name in names if name not in FAULTS]:
        sys.stderr.write(f"{unknown[0]} is not a fault; there are: {', '.join(FAULTS)}\n")
        return 2
    results: list[dict[str, Any]] = []
    started = time.monotonic()
    stack = Stack()
    try:
        with console.status("Starting Airflow and the local SageMaker"):
            stack.up()
        for batch in batches(names or list(FAULTS)):
            with console.status("; ".join(f"{name}: {FAULTS[name].__doc__}" for name in batch)):
                done = run_batch(stack, batch)
            for result, seconds in done:
                results.append(result)
                say(console, result, seconds)
    finally:
        RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
        with console.status("Stopping"):
            stack.down()
    held = sum(result["ok"] for result in results)
    console.print(
        f"{held} of {len(results)} faults held in {time.monotonic() - started:.0f} s; {RESULTS}, logs in {LOGS}"
    )
    return 0 if held == len(results) else 1


def batches(names: Iterable[str]) -> list[list[str]]:
    """One after another, but neighbours that do not disturb each other together."""
    groups = [(at_once, list(group)) for at_once, group in groupby(names, key=AT_ONCE.__contains__)]
    return [batch for at_once, group in groups for batch in ([group] if at_once else [[name] for name in group])]


def run_batch(stack: Stack, names: list[str]) -> list[tuple[dict[str, Any], float]]:
    """The lines of these faults in chaos.json, and how many seconds each took."""
    done: dict[str, tuple[dict[str, Any], float]] = {}

    def run(world: World, name: str) -> None:
        begun = time.monotonic()
        done[name] = run_fault(world, name, FAULTS[name]), time.monotonic() - begun

    if len(names) == 1:  # in this thread: a process that is started by another one ends with it (`processes.start`)
        run(World(stack), names[0])
    else:
        # Daemons, because an interrupted suite waits for nobody.
        threads = [threading.Thread(target=run, args=(World(stack), name), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [done[name] for name in names]


def run_fault(world: World, name: str, fault: Fault) -> dict[str, Any]:
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


def say(console: Console, result: dict[str, Any], seconds: float) -> None:
    """One line; what went wrong may take more."""
    mark = "[green]ok    [/]" if result["ok"] else "[red]FAILED[/]"
    counts = f"runs {result['runs']}, jobs {result['jobs_created']}, duplicates {result['duplicates']}"
    console.print(f"{mark} {result['fault']:<21} {counts:<29} {seconds:>6.1f} s  ", end="")
    console.print(result["outcome"], markup=False)
