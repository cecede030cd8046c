"""The table of facts is well-formed, and the tests' marks name its rows."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.truth.differences import PAGE, up_to_date
from tests.truth.table import every_fact

TESTS = Path(__file__).parents[1]


def marks_in(source: str) -> list[str]:
    """The ids of `pytest.mark.aws_fact("…")` in a file's source."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        argument.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "aws_fact"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


@pytest.fixture(scope="module")
def marked() -> dict[str, list[str]]:
    """Ids of facts, and the files whose tests check them."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        for name in marks_in(source) if "aws_fact" in source else []:
            found.setdefault(name, []).append(str(path.relative_to(TESTS)))
    return found


def test_every_id_is_given_once() -> None:
    counts = Counter(fact.id for fact in every_fact())
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_mark_names_a_row(marked: dict[str, list[str]]) -> None:
    unknown = {name: files for name, files in marked.items() if name not in {fact.id for fact in every_fact()}}
    assert not unknown, f"no such row in tests/truth/facts: {unknown}"


def test_the_page_of_differences_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == up_to_date(page), "run `python -m tests.truth.differences`, and read the diff"


def test_every_row_that_agrees_has_a_test_or_says_why_not(marked: dict[str, list[str]]) -> None:
    rows = [fact for fact in every_fact() if fact.status == "agrees"]
    assert [fact.id for fact in rows if fact.id not in marked and not fact.untested] == []
    assert [fact.id for fact in rows if fact.id in marked and fact.untested] == [], "it has a test: remove `untested`"
