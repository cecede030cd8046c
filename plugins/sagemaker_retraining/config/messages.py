"""pydantic's errors as sentences: file, line, key, value, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sagemaker_retraining.config.source import Key, Source, dotted

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "tuple_type": "a list (`[a, b]`)",
}


def explain(error: ValidationError, cls: type[BaseModel], source: Source) -> list[str]:
    """One message for each key that is wrong, in the file's order."""
    by_key: dict[Key, list[ErrorDetails]] = {}
    for item in error.errors(include_url=False):
        if item["type"] != "default_factory_not_called":  # because of another key, which has a message of its own
            by_key.setdefault(_key_of(item, source), []).append(item)
    messages = []
    for key, items in by_key.items():
        location = source.location(key)
        text = _sentence(key, items, cls, location.text)
        message = source.problem(key, text) if key else f"{location}: {text}"
        messages.append((location.file, location.line, message))
    return [text for _, _, text in sorted(messages)]


def did_you_mean(value: str, known: Iterable[str], otherwise: str) -> str:
    """`did you mean 'a'?`, or `otherwise` and the list of what there is."""
    names = sorted(known)
    by_letters = {name.lower(): name for name in names}
    close = difflib.get_close_matches(value.lower(), by_letters, n=1, cutoff=0.6) or [
        letters for letters in by_letters if letters.startswith(value.lower())
    ]
    return f"did you mean {by_letters[close[0]]!r}?" if close else f"{otherwise} {', '.join(names) or 'none'}"


def _key_of(item: ErrorDetails, source: Source) -> Key:
    """The key in the file: a union adds its members to the path; a check of a section names a key in its text."""
    key: Key = item["loc"]
    if item["type"] == "missing":
        return key
    if item["type"] == "value_error":
        named = (*key, *item["ctx"]["error"].args[0].split(": ", 1)[0].split("."))
        if named in source.locations:
            return named
    while key and key not in source.locations:
        key = key[:-1]
    return key


def _sentence(key: Key, items: list[ErrorDetails], cls: type[BaseModel], written: str | None) -> str:
    """What is wrong with one key. A union has one item for each of its members."""
    item = items[0]
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden":
        return f"unknown key; {did_you_mean(str(key[-1]), _fields_at(cls, key[:-1]), 'the keys here are')}"
    if kind == "missing":
        return f"is missing: {_description(cls, key)}"
    if kind == "value_error":
        text: str = item["ctx"]["error"].args[0]
        return text.removeprefix(f"{key[-1]}: ").removeprefix(f"{dotted(key[-2:])}: ") if key else text
    if odd := _odd(item):
        return odd
    expected = [_expected(one) for one in items]
    if all(expected):
        return f"expected {' or '.join(dict.fromkeys(expected))}, got {_formatted(value, expected, written)}"
    return f"{item['msg'][0].lower()}{item['msg'][1:]}, got {value!r}"


def _odd(item: ErrorDetails) -> str:
    """Of a key that is no text, and of a list that is too short."""
    if item["loc"][-1:] == ("[key]",):
        return f"the key {item['input']!r} is no text; a number is written with a point, not with a comma"
    if item["type"] == "too_short":
        return f"expected at least {item['ctx']['min_length']} of them, got {item['input']!r}"
    return ""


def _expected(item: ErrorDetails) -> str:
    if item["type"] == "literal_error":
        return str(item["ctx"]["expected"])
    return _EXPECTED.get(item["type"], "")


def _formatted(value: Any, expected: list[str], written: str | None) -> str:
    """The value as the file has it; YAML made a number, a date or a switch of what was meant as text."""
    if value is None:
        return "nothing"
    if "text" in expected and not isinstance(value, dict | list):
        text = written or str(value)  # 0017 is 15 in YAML, and yes is true
        return f'{text}; write it in quotes: "{text}"'
    return repr(value)


def _fields_at(cls: type[BaseModel], key: Key) -> Iterable[str]:
    section = _section(cls, key)
    return _fields(section) if section else ()


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by their names in YAML."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _description(cls: type[BaseModel], key: Key) -> str:
    section = _section(cls, key[:-1])
    field = _fields(section).get(str(key[-1])) if section else None
    return (field.description if field else None) or "it is needed here"


def _section(cls: type[BaseModel], key: Key) -> type[BaseModel] | None:
    """The model of the mapping at `key`."""
    found: type[BaseModel] | None = cls
    for part in key:
        if isinstance(part, int) or found is None:
            continue  # the items of a list are of the list's own model
        field = _fields(found).get(part)
        found = _model_in(field.annotation) if field else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model class in `Vpc | None`, `tuple[MetricDefinition, ...]` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
