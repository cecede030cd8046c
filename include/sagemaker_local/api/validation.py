"""Checks a request against the service model, in full, and words what is wrong as AWS does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from include.sagemaker_local.api.patterns import compiled
from include.sagemaker_local.errors import AwsError, validation_error


def validate(request: Any, shape: Shape | None) -> None:
    """Raise the error AWS answers with, unless `request` (parsed JSON) fits `shape`, the input of an operation.

    A wrong type is a SerializationException, found first, as on AWS, where the request cannot even be read. All broken
    constraints (required, enum, pattern, min, max, members that do not exist) come in one ValidationException.
    """
    if shape is None:
        return
    violations = list(_structure(request, shape, ""))
    if violations:
        count = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected: "
        raise validation_error(count + "; ".join(violations))


def _walk(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Every violation in a value and below it; raises SerializationException for a type that does not fit."""
    if isinstance(shape, StructureShape):
        yield from _structure(value, shape, path)
    elif isinstance(shape, ListShape):
        yield from _list(value, shape, path)
    elif isinstance(shape, MapShape):
        yield from _map(value, shape, path)
    else:
        yield from _scalar(value, shape, path)


def _structure(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise _mismatch(value, "structure or map", path)
    assert isinstance(shape, StructureShape)  # noqa: S101  (for the type checker)
    prefix = f"{path}." if path else ""
    present = {name: member for name, member in value.items() if member is not None}
    for name in shape.required_members:
        if name not in present:
            yield f"Value null at '{prefix}{_lower(name)}' failed to satisfy constraint: Member must not be null"
    for name, member in present.items():
        if name in shape.members:
            yield from _walk(member, shape.members[name], prefix + _lower(name))
        else:
            known = ", ".join(shape.members)
            yield f"Value at '{prefix}{_lower(name)}' failed to satisfy constraint: Member must be one of [{known}]"


def _list(value: Any, shape: ListShape, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        raise _mismatch(value, "list", path)
    yield from _bounds(value, len(value), "length", shape, path)
    for index, item in enumerate(value, 1):
        yield from _item(item, shape.member, f"{path}.{index}.member")


def _map(value: Any, shape: MapShape, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise _mismatch(value, "structure or map", path)
    yield from _bounds(value, len(value), "length", shape, path)
    for key, item in value.items():
        yield from _walk(key, shape.key, f"{path}.{key}.key")
        yield from _item(item, shape.value, f"{path}.{key}.member")


def _item(item: Any, shape: Shape, path: str) -> Iterator[str]:
    """An entry of a list or map: unlike a member of a structure it cannot be left out by being null."""
    if item is None:
        yield f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
    else:
        yield from _walk(item, shape, path)


def _scalar(value: Any, shape: Shape, path: str) -> Iterator[str]:
    is_type, name = _TYPES[shape.type_name]
    if not is_type(value):
        raise _mismatch(value, name, path)
    if shape.type_name == "string":
        yield from _string(value, shape, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _bounds(value, value, "value", shape, path)


def _string(value: str, shape: Shape, path: str) -> Iterator[str]:
    yield from _bounds(value, len(value), "length", shape, path)
    pattern = shape.metadata.get("pattern")
    if pattern and not compiled(pattern).fullmatch(value):
        yield _violation(value, shape, path, f"Member must satisfy regular expression pattern: {pattern}")
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield _violation(value, shape, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]")


def _bounds(value: Any, size: float, what: str, shape: Shape, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _violation(value, shape, path, f"Member must have {what} greater than or equal to {low}")
    if high is not None and size > high:
        yield _violation(value, shape, path, f"Member must have {what} less than or equal to {high}")


def _violation(value: Any, shape: Shape, path: str, constraint: str) -> str:
    shown = "" if shape.metadata.get("sensitive") else f" '{_java(value)}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"


def _java(value: Any) -> str:
    """A value as Java's toString prints it, which is what AWS quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(_java(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer(value: Any) -> bool:
    return _number(value) and float(value).is_integer()


def _timestamp(value: Any) -> bool:
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return False
        return True
    return _number(value)


def _blob(value: Any) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return False
    return True


_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "String"),
    "boolean": (lambda value: isinstance(value, bool), "Boolean"),
    "integer": (_integer, "Integer"),
    "long": (_integer, "Long"),
    "float": (_number, "Float"),
    "double": (_number, "Double"),
    "timestamp": (_timestamp, "Timestamp"),
    "blob": (_blob, "Blob"),
}


def _mismatch(value: Any, wanted: str, path: str) -> AwsError:
    where = f" (at '{path}')" if path else ""
    if isinstance(value, dict):
        return AwsError("SerializationException", f"Start of structure or map found where not expected.{where}")
    if isinstance(value, list):
        return AwsError("SerializationException", f"Start of list found where not expected.{where}")
    kind = (
        f"{str(value).upper()}_VALUE"
        if isinstance(value, bool)
        else "STRING_VALUE"
        if isinstance(value, str)
        else "NUMBER_VALUE"
    )
    return AwsError("SerializationException", f"{kind} can not be converted to {_article(wanted)}{where}")


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIOU' else 'a'} {noun}"
