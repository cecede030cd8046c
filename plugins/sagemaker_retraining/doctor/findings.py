"""What a check says: a line that is ok, wrong with what to do, or that could not be looked at and why."""

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
    """A look at one thing; `look` reads from AWS and may raise what boto3 raises."""

    subject: str
    look: Callable[[], Iterator[Finding]]


def ok(subject: str, text: str) -> Finding:
    """As it should be."""
    return Finding(Status.OK, subject, text)


def wrong(subject: str, text: str) -> Finding:
    """A run would fail, lose something or do what it must not; the text says what to do."""
    return Finding(Status.WRONG, subject, text)


def unknown(subject: str, text: str) -> Finding:
    """It could not be looked at; the text says why."""
    return Finding(Status.UNKNOWN, subject, text)


def findings_of(check: Check) -> list[Finding]:
    """What a check found; what AWS refused or did not answer is a finding too, after those before it."""
    found: list[Finding] = []
    try:
        found.extend(check.look())
    except (ClientError, BotoCoreError) as error:
        found.append(unknown(check.subject, explained(error)))
    return found
