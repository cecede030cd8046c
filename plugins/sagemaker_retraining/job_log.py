"""A job's CloudWatch lines in Airflow's task log, and the last of them in its error."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from sagemaker_retraining.hooks import JobKind, RetrainingHook

LAST_LINES = 20
LONGEST_LINE = 500
TOOLKIT = "SM_"
"""How the variables begin that the training toolkit prints before the script: a screen of them, and no reason."""
PAUSE_SECONDS = 3.0
LATE_PAUSES = 10
"""So many pauses the first line of a job that has failed may come after the job's end: half a minute."""


class JobLog:
    """Reads on where the last reading ended, in all streams: a Spot restart opens a new one.

    `last` are the newest lines that were read, without the toolkit's variables.
    """

    def __init__(self, hook: RetrainingHook, kind: JobKind, job: str) -> None:
        self.logs: Any = hook.logs_hook.conn
        self.group = kind.log_group
        self.job = job
        self.prefix = f"{job}/"
        self.tokens: dict[str, str] = {}
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def new_lines(self) -> Iterator[str]:
        """The lines that have come since the last call, stream by stream."""
        for stream in self.streams():
            for line in self.new_lines_of(stream):
                if not line.startswith(TOOLKIT):
                    self.last.append(line)
                yield line

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


def end_of_log(open_log: Callable[[], JobLog], show: Callable[[str], None], pause: float = PAUSE_SECONDS) -> str:
    """What a script printed last, for the error of its task: SageMaker's reason has only the command that failed.

    CloudWatch shows lines some seconds late, so it reads on, a pause before each time, until a reading brings nothing
    new, and waits `LATE_PAUSES` for the first line. `show` gets every new line. When the log cannot
    be read, the text says why: no permission to read it must not hide that the script failed.
    """
    try:
        log, pauses = open_log(), 0
        while True:
            time.sleep(pause)
            pauses += 1
            new = list(log.new_lines())
            for line in new:
                show(line)
            if not new and (log.last or pauses >= LATE_PAUSES):
                break
    except Exception as error:
        return f"Its log cannot be read: {error}"
    if not log.last:
        return f"Its log ({log.group}, {log.prefix}) is empty."
    return "\n  ".join(["The end of its log:", *(_shortened(line) for line in log.last)])


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} …"
