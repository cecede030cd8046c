"""What `make chaos` does is written down."""

from __future__ import annotations

from tests.chaos.faults import FAULTS
from tests.conftest import REPOSITORY


def test_every_fault_is_in_the_table() -> None:
    table = (REPOSITORY / "docs/faults.md").read_text()
    assert [name for name in FAULTS if f"| `{name}` |" not in table] == []
