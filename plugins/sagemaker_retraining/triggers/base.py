"""The wait all triggers share: poll, survive what passes by itself, end at a deadline."""

from __future__ import annotations

import asyncio
import random
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_retraining.hooks import RetrainingHook

TRANSIENT_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        # Rotated credentials: the next client reads the new ones.
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
LONGEST_BACKOFF_SECONDS = 300


def is_transient(error: Exception) -> bool:
    """Throttling, service faults, expired credentials and anything below HTTP go away; other answers are final."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response["Error"]["Code"] in TRANSIENT_CODES or status in {500, 502, 503, 504}
    return isinstance(error, BotoCoreError | OSError | TimeoutError)


class PollTrigger(BaseTrigger):
    """Calls `poll` until it gives an event, or fires `{"status": "timeout"}` at the deadline.

    `deadline` is epoch seconds, so that a restarted triggerer goes on with the time that is left.
    `hook_parameters` are those of the operator that deferred (`aws_conn_id`, `region_name`, `verify`, `config`).
    """

    def __init__(self, *, poll_seconds: float, deadline: float, hook_parameters: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_seconds = poll_seconds
        self.deadline = deadline
        self.hook_parameters = hook_parameters

    def fields(self) -> dict[str, Any]:
        """What a subclass adds to the serialized arguments."""
        return {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for the triggerer."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "poll_seconds": self.poll_seconds,
                "deadline": self.deadline,
                "hook_parameters": self.hook_parameters,
                **self.fields(),
            },
        )

    def hook(self) -> AwsGenericHook[Any]:
        """The hook with the operator's connection; its async client is used by `poll`."""
        return RetrainingHook(**self.hook_parameters)

    @abstractmethod
    async def poll(self, client: Any) -> dict[str, Any] | None:
        """Look once; the event's payload when the wait is over, else None."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is an event or the deadline passes."""
        failures = 0
        while True:
            try:
                async with await self.hook().get_async_conn() as client:
                    while True:
                        # Sleep first: the operator has just looked, and Airflow takes a task for killed whose next
                        # process starts before its executor has reported the end of the one that deferred.
                        await asyncio.sleep(self.poll_seconds * random.uniform(1, 1.1))  # noqa: S311 (jitter)
                        if (event := await self.poll(client)) is not None:
                            yield TriggerEvent(event)
                            return
                        failures = 0
                        if time.time() >= self.deadline:
                            yield TriggerEvent({"status": "timeout"})
                            return
            except Exception as error:
                if not is_transient(error) or time.time() >= self.deadline:
                    raise
                failures += 1
                pause = min(LONGEST_BACKOFF_SECONDS, self.poll_seconds * 2**failures) * random.uniform(0.5, 1)  # noqa: S311
                self.log.warning("%s; asking again in %.0f s", error, pause)
                await asyncio.sleep(pause)
