"""What a fault gets to work with, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from include.laptop.stack.environment import USERS
from tests.chaos.cloud import Cloud
from tests.chaos.runs import Api, Run
from tests.chaos.stack import Stack
from tests.chaos.waiting import require


@dataclass
class Tally:
    """Counts of one fault: runs of the DAG, training jobs created for them, and what exists that should not."""

    runs: int = 0
    jobs_created: int = 0
    duplicates: int = 0

    def expect(self, what: str, found: list[str], wanted: int) -> None:
        """Count what is too much. Raises NotHeld when the number is another one."""
        self.duplicates += max(0, len(found) - wanted)
        require(len(found) == wanted, f"{len(found)} {what} instead of {wanted}: {', '.join(found)}")


@dataclass
class World:
    """The stack, its APIs, and the counts of the fault that is on."""

    stack: Stack
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        user = next(iter(USERS))
        self.cloud = Cloud(self.stack.where)
        self.api = Api(self.stack.where.airflow, user, user)

    def run(self, variant: str = "chaos") -> Run:
        """Start a run."""
        self.tally.runs += 1
        return Run(self.api, self.cloud, variant)

    def expect_jobs(self, run: Run, wanted: int = 1) -> list[str]:
        """Exactly so many training jobs were ever created for the run; their names."""
        names = run.jobs()
        self.tally.jobs_created += len(names)
        self.tally.expect("training jobs", names, wanted)
        return names

    def expect_success(self, run: Run) -> None:
        """The run ends well: all tasks, not only the last. Raises NotHeld with the failed task's log."""
        state = run.end()
        tasks = self.api.tasks(run.dag_id, run.id)
        # The review is closed when the version is approved elsewhere, as here.
        failed = [name for name, task in tasks.items() if task.state != "success" and name != "review"]
        if failed:
            first = next((name for name in failed if run.task(name).state == "failed"), failed[0])
            require(False, f"the run ended {state}; {first} is {run.task(first).state}:\n{run.log(first)}")


Fault = Callable[[World], str]
"""Does its harm and checks; returns in a few words what was seen. Raises NotHeld."""
