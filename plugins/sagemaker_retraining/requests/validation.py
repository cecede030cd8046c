"""The full check of a request before it is sent: botocore's service model, and the rules between fields.

botocore itself checks types and missing or unknown members only; patterns, enums, maxima and the rules between fields
would be found by SageMaker, after earlier steps have run and cost.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sagemaker_retraining.requests.cross_field_rules import cross_field_problems

_TYPES: dict[str, tuple[type[Any], ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "structure": (Mapping,),
    "map": (Mapping,),
    "list": (list, tuple),
    "timestamp": (datetime, int, float, str),
    "blob": (bytes, bytearray),
}
_NUMBERS = frozenset({"integer", "long", "float", "double"})
# Stand-ins for a Unicode category, all ASCII: one such character represents every letter, separator, and so on.
_ASCII = {"L": "a-zA-Z", "Z": " ", "N": "0-9", "S": "$+<=>^`|~", "P": r"!-#%-*,-/:;?@\[-\]_{}", "M": "\x01"}
_STAND_INS = {"L": "a", "Z": " ", "N": "0", "S": "~", "P": "!", "M": "\x01"}


class RequestError(ValueError):
    """A request that SageMaker would refuse; `problems` are its messages, one a line in `str()`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def validate(operation: str, request: Mapping[str, object], service: str = "sagemaker") -> list[str]:
    """Check `request` (boto3's keyword arguments of the API operation, such as `CreateTrainingJob`) in full.

    Returns warnings: an instance type that this botocore does not know yet may still exist.
    Raises RequestError with every problem: operation, path, value and the rule; ValueError for an unknown operation.
    """
    found = list(_walk(_input_shape(service, operation), request, ""))
    found += [(path, text, True) for path, text in cross_field_problems(operation, request)]
    problems = [f"{operation}: {path or 'request'}: {text}" for path, text, is_error in found if is_error]
    if problems:
        raise RequestError(problems)
    return [f"{operation}: {path}: {text}" for path, text, _ in found]


@cache
def _service_model(service: str) -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model(service)


def _input_shape(service: str, operation: str) -> Any:
    model = _service_model(service)
    if operation not in model.operation_names:
        raise ValueError(f"{model.service_id} has no operation {operation!r}")
    return model.operation_model(operation).input_shape


_Problem = tuple[str, str, bool]


def _walk(shape: Any, value: Any, path: str) -> Iterator[_Problem]:
    """(path, text, whether it is an error) for everything wrong at and below `value`."""
    kind: str = shape.type_name
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield path, f"{value!r} is a {type(value).__name__}; expected {kind}", True
        return
    yield from _bounds(shape, value, path)
    if kind == "structure":
        yield from _structure(shape, value, path)
    elif kind == "list":
        for index, item in enumerate(value):
            yield from _walk(shape.member, item, f"{path}[{index}]")
    elif kind == "map":
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{path} (key)")
            yield from _walk(shape.value, item, f"{path}.{key}")
    elif kind == "string":
        yield from _string(shape, value, path)


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[_Problem]:
    for name in shape.required_members:
        if name not in value:
            yield _join(path, name), "is required", True
    for name, item in value.items():
        if name in shape.members:
            yield from _walk(shape.members[name], item, _join(path, name))
        else:
            yield _join(path, name), f"is unknown; {shape.name} has {', '.join(shape.members)}", True


def _bounds(shape: Any, value: Any, path: str) -> Iterator[_Problem]:
    """min and max are of the number itself, or of the length of text, lists and maps."""
    if shape.type_name in _NUMBERS:
        size, what = value, "is"
    elif shape.type_name in {"string", "list", "map"}:
        size, what = len(value), "has length"
    else:
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < float(low):
        yield path, f"{_short(value)} {what} {size}; at least {low}", True
    if high is not None and size > float(high):
        yield path, f"{_short(value)} {what} {size}; at most {high}", True


def _string(shape: Any, value: str, path: str) -> Iterator[_Problem]:
    if shape.enum and value not in shape.enum:
        # The list of instance types ages with botocore.
        known_form = "InstanceType" in shape.name and re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", value) is not None
        if known_form:
            yield path, f"{value!r} is not an instance type that this botocore knows", False
        else:
            yield path, f"{value!r} is not one of {', '.join(shape.enum[:12])}{' …' * (len(shape.enum) > 12)}", True
    pattern = shape.metadata.get("pattern")
    if pattern and not _matcher(pattern)(value):
        yield path, f"{_short(value)} does not match {pattern}", True


@cache
def _matcher(pattern: str) -> Callable[[str], bool]:
    """The check of one of the service model's patterns, which are Java's.

    `re` has no `\\p{L}`: such a pattern is written in ASCII, and every other character of the value stands for its
    category. Patterns that `re` cannot hold (surrogate ranges, none of them in our operations) are not checked.
    """
    categories = r"\\p\{([LMNPSZ])\}"
    has_categories = re.search(categories, pattern) is not None
    translated = re.sub(categories, lambda found: _ASCII[found[1]], pattern)
    # The model's own slip: `[...]*)${1,256}`; the length is in min and max.
    translated = re.sub(r"\$\{\d+,\d+\}$", "", translated)
    try:
        compiled = re.compile(translated)
    except re.error:
        return lambda value: True
    if has_categories:
        return lambda value: compiled.fullmatch(_in_ascii(value)) is not None
    return lambda value: compiled.fullmatch(value) is not None


def _in_ascii(value: str) -> str:
    if value.isascii():
        return value
    return "".join(c if c.isascii() else _STAND_INS.get(unicodedata.category(c)[0], c) for c in value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
