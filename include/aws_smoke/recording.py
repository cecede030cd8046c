"""The shapes of a recording: a file of JSON lines, the first about the recording, one for each call after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

FORMAT = 1

Request = Mapping[str, object]
"""The members of an operation's input, as boto3 takes them."""
Answer = dict[str, Any]
"""The members of an operation's output, as boto3 gives them: AWS decides what is in it."""


class About(TypedDict):
    """The first line."""

    format: int
    environment: str
    region: str
    made: str
    """When, in ISO 8601."""


class CallError(TypedDict):
    """The error that a call ended with."""

    code: str
    message: str
    status: int
    """The HTTP status; 0 for a request that boto3 does not send."""


class Outcome(TypedDict):
    """What came of a call: either answers or an error."""

    answers: NotRequired[list[Answer]]
    """One, or of a call with `wait` the first of each state. Streams are text."""
    error: NotRequired[CallError]


class Call(TypedDict):
    """What was sent."""

    name: str
    """The step of the chain, or the probe."""
    service: str
    operation: str
    request: Request
    """Bytes are `{"utf-8": …}`, or `{"base64": …}` where they are no text."""
    wait: NotRequired[str]
    """The name of a status member: the line stands for all calls until it came to rest."""


class RecordedCall(Call, Outcome):
    """A line of the recording."""
