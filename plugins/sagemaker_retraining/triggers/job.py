"""Wait for a processing or training job to end."""

from __future__ import annotations

from typing import Any

from sagemaker_retraining.hooks import JOB_KINDS
from sagemaker_retraining.triggers.base import PollTrigger
from sagemaker_retraining.triggers.clients import shared_client


class JobTrigger(PollTrigger):
    """Fires `{"status": "ended", "name": …}` when the job is Completed, Failed or Stopped.

    What the end means is decided on the worker, from a fresh Describe. `kind` is `Processing` or `Training`.
    """

    def __init__(self, *, kind: str, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.name = name

    def fields(self) -> dict[str, Any]:
        """The job."""
        return {"kind": self.kind, "name": self.name}

    async def poll(self, client: Any) -> dict[str, Any] | None:
        """One Describe."""
        kind = JOB_KINDS[self.kind]
        description = await getattr(client, kind.method("describe"))(**{kind.name_key: self.name})
        if description[kind.status_key] in {"InProgress", "Stopping"}:
            return None
        return {"status": "ended", "name": self.name}

    async def on_kill(self) -> None:
        """The user marked the deferred task failed or succeeded, or cleared it: stop the job, it costs money."""
        kind = JOB_KINDS[self.kind]
        async with shared_client(self.hook(), self.hook_parameters) as client:
            await getattr(client, kind.method("stop"))(**{kind.name_key: self.name})
        self.log.info("Asked SageMaker to stop %s", self.name)
