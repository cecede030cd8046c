"""Wait for an endpoint to come to rest."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sagemaker_retraining.registry import is_not_found
from sagemaker_retraining.triggers.base import PollEvent, PollTrigger

MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
GONE = "Gone"


class EndpointTrigger(PollTrigger):
    """Fires the EndpointStatus, or `Gone`, when the endpoint is in none of the states that pass by themselves.

    `UpdateRollbackFailed` and `Failed` end the wait too: the provider's waiter polls them for days.
    """

    arguments = ("endpoint",)

    def __init__(self, *, endpoint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint

    async def poll(self, client: Any) -> PollEvent | None:
        """One Describe; an endpoint that was deleted meanwhile is at rest too."""
        try:
            description = await client.describe_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if not is_not_found(error):
                raise
            return {"status": GONE}
        return None if description["EndpointStatus"] in MOVING else {"status": description["EndpointStatus"]}
