"""The wait all triggers share: poll, survive what passes by itself, end at a deadline."""

from __future__ import annotations

import asyncio
import random
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, TypedDict

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.triggers.clients import is_busy, shared_client

# Rotated credentials: the next client reads the new ones.
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException"})
LONGEST_PAUSE_SECONDS = 300
# What has taken an hour need not be looked at every few seconds.
PAUSE_PER_SECOND_WAITED = 0.1
# A task in one of these still wants what its trigger waits for; a person's mark, clear or deletion leaves another one.
STILL_WANTED = frozenset({"deferred", "up_for_retry"})


def is_transient(error: Exception) -> bool:
    """Throttling, service faults, expired credentials and anything below HTTP go away; other answers are final."""
    if isinstance(error, ClientError):
        return is_busy(error) or error.response["Error"]["Code"] in EXPIRED_CODES
    return isinstance(error, BotoCoreError | OSError | TimeoutError)


class PollEvent(TypedDict):
    """What a wait ended with: `timeout` at the deadline, else the status that the trigger's class names."""

    status: str


class HookParameters(TypedDict):
    """With what an operator makes its hook; `config` are arguments of botocore's Config."""

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    config: Mapping[str, object] | None


class PollTrigger(BaseTrigger):
    """Calls `poll` until it gives an event, or fires the status `timeout` at the deadline.

    `poll_seconds` is the shortest pause; it grows to a tenth of the time since `since`, at most 5 minutes.
    `since` and `deadline` are epoch seconds, so that a restarted triggerer goes on as before.
    `hook_parameters` are those of the operator that deferred; `arguments` names what a subclass adds to these.
    """

    arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, poll_seconds: float, since: float, deadline: float, hook_parameters: HookParameters) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_seconds = poll_seconds
        self.since = since
        self.deadline = deadline
        self.hook_parameters = hook_parameters

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments of the constructor, for the triggerer (Airflow's own signature)."""
        names = ("poll_seconds", "since", "deadline", "hook_parameters", *self.arguments)
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    def hook(self) -> AwsGenericHook[Any]:
        """The hook with the operator's connection; `poll` gets its async client, which all triggers like this share."""
        return RetrainingHook(**self.hook_parameters)

    @abstractmethod
    async def poll(self, client: Any) -> PollEvent | None:
        """Look once; the event's payload when the wait is over, else None."""

    def pause(self) -> float:
        """Seconds until the next look: calmer the longer it takes, never past the deadline, jittered."""
        now = time.time()
        calm = max(self.poll_seconds, min(LONGEST_PAUSE_SECONDS, PAUSE_PER_SECOND_WAITED * (now - self.since)))
        return min(calm * random.uniform(1, 1.1), max(self.poll_seconds, self.deadline - now))  # noqa: S311

    async def look(self, client: Any) -> PollEvent | None:
        """Pause, then poll; a timeout when the deadline has passed.

        Pause first: the operator has just looked, and Airflow takes a task for killed whose next process starts before
        its executor has reported the end of the one that deferred.
        """
        await asyncio.sleep(self.pause())
        event = await self.poll(client)
        return {"status": "timeout"} if event is None and time.time() >= self.deadline else event

    async def is_still_wanted(self) -> bool:
        """To be asked in `on_kill`: whether the task waits on, because only this triggerer has lost the trigger.

        A triggerer that is silent for `[triggerer] triggerer_health_check_threshold` (30 s) loses its triggers to
        another one. When it wakes it cancels them in the same way as after a person's action (Airflow 3.3.2,
        `TriggerRunnerSupervisor.update_triggers`; the provider's EMR trigger asks the same, `safe_to_cancel`).
        True also when Airflow cannot be asked: what somebody waits for must not be stopped by mistake.
        """
        try:
            return await self.task_state() in STILL_WANTED
        except Exception as error:  # Airflow's client has asked several times
            self.log.warning("Cannot ask Airflow for the task's state: %s", error)
            return True

    async def task_state(self) -> str | None:
        """The task's state as Airflow words it; None when it was cleared, or is gone with its run or DAG."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti: Any = self.task_instance
        states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
            dag_id=ti.dag_id, map_index=ti.map_index, task_ids=[ti.task_id], run_ids=[ti.run_id]
        )
        name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        state: str | None = states.get(ti.run_id, {}).get(name)
        return state

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is an event or the deadline passes."""
        failures = 0
        event: PollEvent | None = None
        while event is None:
            try:
                async with shared_client(self.hook(), self.hook_parameters) as client:
                    while (event := await self.look(client)) is None:
                        failures = 0
            except Exception as error:
                if not is_transient(error) or time.time() >= self.deadline:
                    raise
                failures += 1
                backoff = min(LONGEST_PAUSE_SECONDS, self.poll_seconds * 2**failures) * random.uniform(0.5, 1)  # noqa: S311
                self.log.warning("%s; asking again in %.0f s", error, backoff)
                await asyncio.sleep(backoff)
        yield TriggerEvent(event)
