"""pydantic's errors as sentences: file, line, key, value, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sagemaker_retraining.config.source import Key, Source, dotted

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping (`key: value`)",
    "mapping_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "tuple_type": "a list (`[a, b]`)",
}


def explain(error: ValidationError, cls: type[BaseModel], source: Source) -> list[str]:
    """One message for each key that is wrong, in the file's order."""
    messages = [
        (source.place(key), f"{dotted(key)}: {text}" if key else text) for key, text in _sentences(error, cls, source)
    ]
    ordered = sorted(dict.fromkeys(messages), key=lambda item: (item[0].file, item[0].line))
    return [f"{place}: {text}" for place, text in ordered]


def did_you_mean(value: str, known: Iterable[str], otherwise: str = "known are") -> str:
    """`did you mean 'a'?`, or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"{otherwise} {', '.join(names) or 'none'}"


def _sentences(error: ValidationError, cls: type[BaseModel], source: Source) -> Iterator[tuple[Key, str]]:
    seen: dict[Key, set[str]] = {}
    for item in error.errors(include_url=False):
        key = _in_file(item["loc"], source)
        kind, value, context = item["type"], item["input"], item.get("ctx", {})
        if kind == "extra_forbidden":
            known = _fields_at(cls, item["loc"][:-1])
            yield key, f"unknown key; {did_you_mean(str(key[-1]), known, 'the keys here are')}"
        elif kind == "missing":
            yield key, "is missing"
        elif kind == "value_error":
            yield _value_error(key, str(context["error"]))
        elif kind == "literal_error":
            yield key, f"{value!r} is not one of {context['expected']}"
        elif kind in _EXPECTED:
            # A union says once for each of its members what it would have liked.
            seen.setdefault(key, set()).add(_EXPECTED[kind])
            if item is _last_at(error, key, source):
                yield key, f"expected {' or '.join(sorted(seen[key]))}, got {_shown(value, seen[key])}"
        else:
            yield key, f"{item['msg'][0].lower()}{item['msg'][1:]}, got {value!r}"
