"""Where two answers to the same request differ: members, types, states, error codes, and texts that programs read.

Times, numbers, ids, ARNs, addresses, and the texts of other members are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StructureShape

from include.aws_smoke.recording import Answer, Call, CallError, Outcome, RecordedCall

TEXTS = frozenset({"FailureReason", "StatusMessage", "ExitMessage", "Body", "ContentType"})
_VOLATILE = (
    (re.compile(r"arn:aws[a-z-]*:[^\s\"',;)]+"), "<arn>"),
    (re.compile(r"https?://[^\s\"']+"), "<url>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*"), "<time>"),
    (re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f]{8}[0-9a-f-]*\b"), "<id>"),
    (re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?"), "<n>"),
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
_ONLY_ERRORS = frozenset({"PutObject"})


def differences(line: RecordedCall, ours: Outcome) -> Iterator[str]:
    """One sentence for each difference between a recorded line and the one that it would be here."""
    theirs_error, our_error = line.get("error"), ours.get("error")
    if theirs_error and our_error:
        yield from _errors(theirs_error, our_error)
    elif theirs_error:
        yield f"AWS refuses it ({_as_text(theirs_error)}); here it is accepted"
    elif our_error:
        yield f"AWS accepts it; here it is refused ({_as_text(our_error)})"
    elif line["operation"] not in _ONLY_ERRORS:
        yield from _answers(line, line["answers"], ours["answers"])


def plain(text: str) -> str:
    """A text without what is another one at every call."""
    for pattern, name in _VOLATILE:
        text = pattern.sub(name, text)
    return text.strip()


def _errors(theirs: CallError, ours: CallError) -> Iterator[str]:
    if theirs["code"] != ours["code"]:
        yield f"error code: AWS {theirs['code']}, here {ours['code']}"
    if theirs["status"] != ours["status"]:
        yield f"error status: AWS {theirs['status']}, here {ours['status']}"
    if plain(theirs["message"]) != plain(ours["message"]):
        yield f"error text: AWS {theirs['message']!r}, here {ours['message']!r}"


def _answers(call: Call, theirs: list[Answer], ours: list[Answer]) -> Iterator[str]:
    if status := call.get("wait"):
        seen = [[answer.get(status) for answer in answers] for answers in (theirs, ours)]
        if min(map(len, seen)) > 1:  # of one that was at rest at the first look, the way there was not seen
            yield from _sequence(status, *seen)
    yield from _walk(theirs[-1], ours[-1], _output_shape(call["service"], call["operation"]), "")


def _walk(theirs: Any, ours: Any, shape: Shape | None, path: str) -> Iterator[str]:
    if _kind(theirs) != _kind(ours):
        yield f"{path}: AWS {_kind(theirs)}, here {_kind(ours)}"
    elif isinstance(theirs, dict):
        yield from _members(theirs, ours, shape, path)
    elif isinstance(theirs, list):
        yield from _items(theirs, ours, shape, path)
    else:
        yield from _values(theirs, ours, shape, path)


def _members(theirs: Mapping[str, object], ours: Mapping[str, object], shape: Shape | None, path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name, value in theirs.items():
        if name in ours:
            yield from _walk(value, ours[name], _member_shape(shape, name), f"{prefix}{name}")
        else:
            yield f"{prefix}{name}: only AWS has it ({value!r:.100})"
    yield from (f"{prefix}{name}: only here ({ours[name]!r:.100})" for name in ours if name not in theirs)


def _items(theirs: list[Any], ours: list[Any], shape: Shape | None, path: str) -> Iterator[str]:
    """Items of the same state are compared; without states, those of the same position."""
    member = shape.member if isinstance(shape, ListShape) else None
    if all(isinstance(item, dict) and "Status" in item for item in (*theirs, *ours)):
        yield from _sequence(path, [item["Status"] for item in theirs], [item["Status"] for item in ours])
        known = {item["Status"]: item for item in reversed(ours)}
        pairs = [(item, known[item["Status"]]) for item in theirs if item["Status"] in known]
    else:
        if len(theirs) != len(ours):
            yield f"{path}: AWS has {len(theirs)}, here {len(ours)}"
        pairs = list(zip(theirs, ours, strict=False))
    found = (line for one, other in pairs for line in _walk(one, other, member, f"{path}[]"))
    yield from dict.fromkeys(found)


def _values(theirs: Any, ours: Any, shape: Shape | None, path: str) -> Iterator[str]:
    name = path.rpartition(".")[2]
    is_word = isinstance(theirs, bool) or bool(getattr(shape, "enum", None))
    is_text = name in TEXTS and isinstance(theirs, str)
    if (is_word and theirs != ours) or (is_text and plain(theirs) != plain(ours)):
        yield f"{path}: AWS {theirs!r}, here {ours!r}"


def _sequence(what: str, theirs: list[Any], ours: list[Any]) -> Iterator[str]:
    """States in their order, each once while it lasts."""
    lasting = [
        [state for index, state in enumerate(states) if not index or state != states[index - 1]]
        for states in (theirs, ours)
    ]
    if lasting[0] != lasting[1]:
        yield f"{what}: AWS {' → '.join(map(str, lasting[0]))}, here {' → '.join(map(str, lasting[1]))}"


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "time" if _TIME.fullmatch(value) else "text"
    names = {bool: "boolean", int: "number", float: "number", dict: "structure", list: "list"}
    return names.get(type(value), "nothing")


def _as_text(error: CallError) -> str:
    return f"{error['code']}: {error['message']}"


def _member_shape(shape: Shape | None, name: str) -> Shape | None:
    if isinstance(shape, StructureShape):
        return shape.members.get(name)
    return shape.value if isinstance(shape, MapShape) else None


@cache
def _output_shape(service: str, operation: str) -> Shape | None:
    model = botocore.session.get_session().get_service_model(service)
    return model.operation_model(operation).output_shape
