"""What ends a job before or beside its own exit."""

from __future__ import annotations


class JobError(Exception):
    """The job fails with this message as its FailureReason (`ClientError: …` for what the caller got wrong)."""


class ShutdownError(Exception):
    """The server is going down; the job ends without another word, and is found and failed at the next start."""
