"""The part of JSONPath that DataProcessing's filters know: `$`, `.name`, `['a','b']`, `[0]`, `[1:]`, `[0,5:]`.

jsonpath-ng does not fit: it refuses `[0,5:]`, and finds a flat list of values where a filter makes an object or array.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_NAME = r"[A-Za-z_][\w-]*"
_QUOTED = r"'[^']*'|\"[^\"]*\""
_POSITION = r"-?\d*:-?\d*|-?\d+"
_ONE = rf"\s*(?:{_QUOTED}|{_POSITION})\s*"
_STEP = re.compile(rf"\.(?P<name>{_NAME})|\[(?P<list>{_ONE}(?:,{_ONE})*)\]")
_SELECTOR = re.compile(rf"(?P<quoted>{_QUOTED})|(?P<position>{_POSITION})")

Selector = str | int | slice


class SelectionError(Exception):
    """The expression selects what a value does not have."""


@dataclass(frozen=True)
class Step:
    """One `.name` or `[…]`; several selectors, or a slice, make an object or array of what they select."""

    selectors: tuple[Selector, ...]

    def select(self, value: Any) -> Any:
        """What this step selects of a value. Raises SelectionError."""
        first = self.selectors[0]
        if len(self.selectors) == 1 and not isinstance(first, slice):
            return _item(value, first)
        if isinstance(first, str):
            return {str(name): _item(value, name) for name in self.selectors}
        chosen: list[Any] = []
        for selector in self.selectors:
            part = _item(value, selector)
            chosen += part if isinstance(selector, slice) else [part]
        return chosen


@dataclass(frozen=True)
class JsonPath:
    """A parsed expression."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, expression: str) -> JsonPath:
        """The steps of an expression. Raises ValueError for one that is not of the forms above."""
        position, steps = 1, []
        while position < len(expression) and (match := _STEP.match(expression, position)):
            steps.append(Step((match["name"],) if match["name"] else _selectors(match["list"])))
            position = match.end()
        mixed = any(len({isinstance(selector, str) for selector in step.selectors}) > 1 for step in steps)
        if not expression.startswith("$") or position < len(expression) or mixed:
            raise ValueError(f"{expression} is not of the form $, $.name, $['a','b'], $[0], $[1:] or $[0,5:]")
        return cls(tuple(steps))

    @property
    def everything(self) -> bool:
        """True for `$`, which changes nothing."""
        return not self.steps

    def select(self, value: Any) -> Any:
        """What the expression selects of a value. Raises SelectionError."""
        for step in self.steps:
            value = step.select(value)
        return value


def _selectors(text: str) -> tuple[Selector, ...]:
    return tuple(
        match["quoted"][1:-1] if match["quoted"] else _position(match["position"]) for match in _SELECTOR.finditer(text)
    )


def _position(text: str) -> int | slice:
    start, colon, end = text.partition(":")
    return slice(int(start) if start else None, int(end) if end else None) if colon else int(text)


def _item(value: Any, selector: Selector) -> Any:
    fits = isinstance(value, dict) if isinstance(selector, str) else isinstance(value, list)
    if not fits:
        raise SelectionError(f"{selector!r} does not select from a value of this kind")
    try:
        return value[selector]
    except (KeyError, IndexError) as error:
        raise SelectionError(f"{selector!r} is not in the record") from error
