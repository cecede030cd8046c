"""The result of a check: ok; wrong, and what to do; or that the check could not look, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_retraining.doctor.errors import explained


class Status(StrEnum):
    """The three answers; with `UNKNOWN`, somebody with more permissions has to look."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "could not look"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, and what was found or is to be done."""

    status: Status
    subject: str
    text: str


@dataclass(frozen=True)
class Check:
    """The check of one thing; `look` reads from AWS and may raise what boto3 raises."""

    subject: str
    look: Callable[[], Iterator[Finding]]


def ok(subject: str, text: str) -> Finding:
    """It is as it should be; the text says what was found."""
    return Finding(Status.OK, subject, text)


def wrong(subject: str, text: str) -> Finding:
    """A run would fail, lose something or do what it must not; the text says what to do."""
    return Finding(Status.WRONG, subject, text)


def unknown(subject: str, text: str) -> Finding:
    """The check could not look; the text says why."""
    return Finding(Status.UNKNOWN, subject, text)


def findings_of(check: Check) -> list[Finding]:
    """Run a check. When AWS refuses or does not answer, that is the last finding."""
    found: list[Finding] = []
    try:
        found.extend(check.look())
    except (ClientError, BotoCoreError) as error:
        found.append(unknown(check.subject, explained(error)))
    return found
