"""`python -m tests.truth.differences`: write "Known differences" of docs/local-sagemaker.md from the table of facts."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.truth.table import Fact, every_fact

PAGE = Path(__file__).parents[2] / "docs" / "local-sagemaker.md"
BEGIN, END = "<!-- generated: python -m tests.truth.differences -->", "<!-- end of generated -->"
NOT_YET = "not yet"
WIDTH = 120


def block() -> str:
    """What stands between BEGIN and END: what differs for a reason, what differs still, and what nobody knows."""
    facts = every_fact()
    differs = [fact for fact in facts if fact.status == "differs"]
    parts = [
        ("Different on purpose:", [fact for fact in differs if fact.reason != NOT_YET]),
        ("Different still:", [fact for fact in differs if fact.reason == NOT_YET]),
        ("Not verified against AWS, for want of a source:", [fact for fact in facts if fact.status == "unverified"]),
    ]
    return "\n\n".join("\n".join([title, "", *lines(rows)]) for title, rows in parts if rows)


def lines(facts: list[Fact]) -> Iterator[str]:
    """A list item for each row: what happens here, and why; of what differs still, the row's id."""
    for fact in facts:
        texts = [fact.ours, None if fact.reason == NOT_YET else fact.reason]
        name = f"`{fact.id}`: " if fact.reason == NOT_YET else ""
        item = f"- {name}{' '.join(text.rstrip('.') + '.' for text in texts if text)}"
        yield textwrap.fill(item, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def up_to_date(page: str) -> str:
    """The page with its generated part made anew. Raises ValueError for a page without a place for it."""
    marked = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    made, places = marked.subn(lambda found: f"{found[1]}\n{block()}\n\n{found[2]}", page)
    if places != 1:
        raise ValueError(f"{PAGE.name} has {places} places between {BEGIN!r} and {END!r}; it needs one")
    return made


if __name__ == "__main__":
    PAGE.write_text(up_to_date(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
