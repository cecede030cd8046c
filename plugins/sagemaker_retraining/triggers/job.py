"""Wait for a processing, training or transform job to end."""

from __future__ import annotations

import asyncio
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import JOB_KINDS, has_ended
from sagemaker_retraining.outcomes import LIVE, Description
from sagemaker_retraining.triggers.base import PollEvent, PollTrigger
from sagemaker_retraining.triggers.clients import shared_client

_stopping: set[asyncio.Task[None]] = set()
"""Asyncio holds a task only weakly."""


class JobEvent(PollEvent):
    """The end of the wait for this job."""

    name: str


class JobTrigger(PollTrigger):
    """Fires `JobEvent` with status `ended` when the job is Completed, Failed or Stopped.

    What the end means is decided on the worker, from a fresh Describe. `kind` is the name of a `JobKind`.
    """

    arguments = ("kind", "name")

    def __init__(self, *, kind: str, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.name = name
        self._progress: str | None = None

    async def poll(self, client: Any) -> JobEvent | None:
        """One Describe."""
        kind = JOB_KINDS[self.kind]
        description = await getattr(client, kind.method("describe"))(**{kind.name_key: self.name})
        if (message := progress(description)) != self._progress:
            self._progress = message
            self.log.info("%s: %s", self.name, message)
        if description[kind.status_key] in LIVE:
            return None
        return {"status": "ended", "name": self.name}

    async def on_kill(self) -> None:
        """The user marked the deferred task failed or succeeded, cleared or deleted it: the job is stopped.

        Airflow repeats the cancellation every second, which reaches into `on_kill` (3.3.2, `cancel_triggers`): what is
        done here must be a task of its own, or a stop that takes longer than a second is never sent.
        """
        stopping = asyncio.create_task(self.stop_unless_wanted())
        _stopping.add(stopping)
        stopping.add_done_callback(_stopping.discard)
        await asyncio.shield(stopping)

    async def stop_unless_wanted(self) -> None:
        """Ask SageMaker to stop the job, it costs money; not when the task waits on elsewhere.

        A task that was cleared and waits again already, through another trigger, has stopped the job itself
        (`ResumableJobMixin.was_cleared`).
        """
        if await self.is_still_wanted():
            self.log.info("%s goes on: its task is still to have the result", self.name)
            return
        kind = JOB_KINDS[self.kind]
        try:
            async with shared_client(self.hook(), self.hook_parameters) as client:
                await getattr(client, kind.method("stop"))(**{kind.name_key: self.name})
        except ClientError as error:
            if has_ended(error):
                self.log.info("Nothing to stop: %s", error)
                return
            raise
        self.log.info("Asked SageMaker to stop %s", self.name)


def progress(description: Description) -> str | None:
    """What a training job does now, in SageMaker's words: "Starting: Insufficient capacity error from EC2 …".

    None of other kinds of jobs. It is there to be read: AWS may change the messages at any time.
    """
    transitions = description.get("SecondaryStatusTransitions")
    if not transitions:
        return None
    return f"{transitions[-1]['Status']}: {transitions[-1].get('StatusMessage', '')}"
