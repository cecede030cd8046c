"""The order in which `make chaos` does its harm."""

from __future__ import annotations

from itertools import chain

from tests.chaos.faults import AT_ONCE, FAULTS
from tests.chaos.suite import batches
from tests.conftest import REPOSITORY


def test_only_neighbours_that_do_not_disturb_each_other_go_side_by_side() -> None:
    names = ["kill_worker", "mark_failed_deferred", "stopped_in_console", "cleared", "deleted_dag"]
    assert batches(names) == [[names[0]], names[1:3], [names[3]], [names[4]]]
    assert list(chain(*batches(FAULTS))) == list(FAULTS)
    assert [set(batch) for batch in batches(FAULTS) if len(batch) > 1] == [set(AT_ONCE)]


def test_every_fault_is_in_the_table() -> None:
    table = (REPOSITORY / "docs/faults.md").read_text()
    assert [name for name in FAULTS if f"| `{name}` |" not in table] == []
