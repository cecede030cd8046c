"""The reference pages are made from the code: every key, every command and what imports what.

After a change: `REGENERATE_DOCS=1 python -m pytest tests/unit/test_docs.py`, and read the diff.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from sagemaker_retraining.cli.main import parser
from sagemaker_retraining.config import EnvironmentConfig, ModelConfig
from sagemaker_retraining.dags import retraining_dag
from tests.kits.import_graph import mermaid

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "array": "list"}


def rows(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """A line of the table for each key, sections before what is in them."""
    properties = cls.model_json_schema()["properties"]
    for name, field in cls.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        section = section_of(field.annotation)
        if section is None or key in {"image"} or is_list(field.annotation):
            kind = kind_of(properties[field.alias or name])
            yield f"| `{key}` | {kind} | {default_of(field)} | {field.description} |"
        else:
            yield f"| **`{key}`** | section | {default_of(field)} | {field.description} |"
        if section is not None:
            yield from rows(section, f"{key}[]." if is_list(field.annotation) else f"{key}.")


def section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in get_args(annotation) if (found := section_of(part))), None)


def is_list(annotation: Any) -> bool:
    return str(annotation).startswith("tuple")


def kind_of(schema: dict[str, Any]) -> str:
    """`text`, `whole number`, `text or mapping`, or the words to choose from."""
    if "anyOf" in schema:
        kinds = [kind_of(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema or schema.get("type") == "object":
        return "mapping"
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    span = f" {low}-{high}" if low is not None and high is not None else f" from {low}" if low is not None else ""
    return TYPES[schema["type"]] + span


def default_of(field: Any) -> str:
    if field.is_required():
        return "**required**"
    if field.default is PydanticUndefined:
        return ""
    if field.default in (None, ""):
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(field.default)}]`"
    return f"`{field.default}`"


def table(cls: type[BaseModel]) -> str:
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows(cls)])


def help_of(command: str) -> str:
    """`--help`, 100 columns wide, as `$ ` and its output."""
    top = parser()
    sub = next(action for action in top._actions if hasattr(action, "choices") and action.choices)
    chosen = sub.choices[command] if command else top
    line = f"$ python -m sagemaker_retraining {command + ' ' if command else ''}--help"
    return f"```\n{line}\n{chosen.format_help().rstrip()}\n```"


PARTS = {
    ("configuration.md", "model.yaml"): lambda: table(ModelConfig),
    ("configuration.md", "environment.yaml"): lambda: table(EnvironmentConfig),
    ("architecture.md", "package"): lambda: mermaid("sagemaker_retraining"),
    ("architecture.md", "local SageMaker"): lambda: mermaid("include.sagemaker_local"),
    **{
        ("cli.md", command or "all"): lambda command=command: help_of(command)
        for command in ("", "new", "lint", "plan", "schema", "iam", "doctor", "status", "approve", "reject")
    },
}


@pytest.mark.parametrize(("page", "part"), PARTS)
def test_reference_is_up_to_date(page: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    file, made = DOCS / page, PARTS[page, part]()
    marked = re.compile(rf"(<!-- begin {re.escape(part)} -->\n).*?(<!-- end {re.escape(part)} -->)", re.DOTALL)
    text = file.read_text()
    assert len(marked.findall(text)) == 1, f"docs/{page} has no place for {part}"
    up_to_date = marked.sub(lambda found: f"{found[1]}{made}\n{found[2]}", text)
    if os.environ.get("REGENERATE_DOCS"):
        file.write_text(up_to_date)
    assert file.read_text() == up_to_date, f"see the top of {Path(__file__).name}"


def test_every_make_target_is_in_the_readme() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    readme = (REPOSITORY / "README.md").read_text()
    assert targets
    assert [target for target in targets if not re.search(rf"\bmake {target}\b", readme)] == []


def test_every_task_is_in_the_architecture() -> None:
    tasks = retraining_dag("flight_delay").task_ids
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    assert [task for task in tasks if f"| `{task}` |" not in text] == []
