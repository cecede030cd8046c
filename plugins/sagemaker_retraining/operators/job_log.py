"""A job's CloudWatch lines in Airflow's task log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from sagemaker_retraining.hooks import JobKind, RetrainingHook


class JobLog:
    """Reads on where the last reading ended, in all streams: a Spot restart opens a new one."""

    def __init__(self, hook: RetrainingHook, kind: JobKind, job: str) -> None:
        self.logs: Any = hook.logs_hook.conn
        self.group = kind.log_group
        self.job = job
        self.prefix = f"{job}/"
        self.tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """The lines that have come since the last call, stream by stream."""
        for stream in self.streams():
            yield from self.new_lines_of(stream)

    def streams(self) -> list[str]:
        """The job's streams, oldest first: their names end in the time they began."""
        pages = self.logs.get_paginator("describe_log_streams").paginate(
            logGroupName=self.group, logStreamNamePrefix=self.prefix
        )
        try:
            return sorted(stream["logStreamName"] for page in pages for stream in page["logStreams"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []  # the group appears with the account's first job
            raise

    def new_lines_of(self, stream: str) -> Iterator[str]:
        """CloudWatch gives the same token back at the end of a stream."""
        while True:
            position = {"nextToken": self.tokens[stream]} if stream in self.tokens else {}
            page = self.logs.get_log_events(
                logGroupName=self.group, logStreamName=stream, startFromHead=True, **position
            )
            for event in page["events"]:
                yield event["message"]
            if page["nextForwardToken"] == self.tokens.get(stream):
                return
            self.tokens[stream] = page["nextForwardToken"]
