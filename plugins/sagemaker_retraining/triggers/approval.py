"""Wait for a person's decision on a model version, together with everybody who waits for one of the same group."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any
from weakref import WeakKeyDictionary

from sagemaker_retraining.promotion_rule import Version, superseding
from sagemaker_retraining.requests.approval import APPROVED, PENDING
from sagemaker_retraining.triggers.base import HookParameters, PollEvent, PollTrigger

PAGE_SIZE = 100


class GroupListing:
    """The versions of one group as listed last, for all triggers of this process that wait for one of them.

    `statuses` is version ARN → approval status. A listing is used again until it is `max_age` seconds old, and so is
    the error of one that failed: when SageMaker throttles, a hundred waiting versions must not ask a hundred times.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self.statuses: dict[str, str] = {}
        self._approved: dict[str, Version] = {}
        self._error: Exception | None = None
        self._listed_at = -float("inf")
        self._lock = asyncio.Lock()

    async def refresh(self, client: Any, max_age: float) -> None:
        """List anew unless that has been done lately. Raises what the listing raised."""
        async with self._lock:
            if time.monotonic() - self._listed_at >= max_age:
                self._error = None
                try:
                    await self._list(client)
                except Exception as error:
                    self._error = error
                self._listed_at = time.monotonic()
            if self._error is not None:
                raise self._error

    def approved(self) -> list[Version]:
        """Number and month of the approved versions."""
        return [self._approved[arn] for arn, status in self.statuses.items() if status == APPROVED]

    async def _list(self, client: Any) -> None:
        pages = client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.group, PaginationConfig={"PageSize": PAGE_SIZE}
        )
        found = [item async for page in pages for item in page["ModelPackageSummaryList"]]
        statuses = {item["ModelPackageArn"]: item["ModelApprovalStatus"] for item in found}
        for arn, status in statuses.items():
            if status == APPROVED and arn not in self._approved:  # its month never changes: described once
                package = await client.describe_model_package(ModelPackageName=arn)
                month = package.get("CustomerMetadataProperties", {}).get("period")
                self._approved[arn] = Version(package["ModelPackageVersion"], month)
        self.statuses = statuses


_listings: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], GroupListing]] = WeakKeyDictionary()


def shared_listing(hook_parameters: HookParameters, group: str) -> GroupListing:
    """The listing of this event loop (a triggerer has one) for the group as these hook parameters reach it."""
    key = json.dumps(hook_parameters, sort_keys=True, default=repr), group
    return _listings.setdefault(asyncio.get_running_loop(), {}).setdefault(key, GroupListing(group))


class ApprovalTrigger(PollTrigger):
    """Fires the approval status when the version is no longer PendingManualApproval, and `superseded` when another
    approved version has taken its place (see `promotion_rule`).

    `group`, `number` and `period` (YYYY-MM or None) are the version's. All that wait for versions of one group cost one
    ListModelPackages each `poll_seconds`; so the pause need not grow as it does where everybody asks for themselves.
    """

    arguments = ("model_package_arn", "group", "number", "period", "replace_newer")

    def __init__(
        self,
        *,
        model_package_arn: str,
        group: str,
        number: int,
        period: str | None,
        replace_newer: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_package_arn = model_package_arn
        self.group = group
        self.number = number
        self.period = period
        self.replace_newer = replace_newer

    def pause(self) -> float:
        """Seconds until the next look, jittered; the last one is not long after the deadline."""
        remaining = max(self.poll_seconds, self.deadline - time.time())
        return min(self.poll_seconds * random.uniform(1, 1.1), remaining)  # noqa: S311

    async def poll(self, client: Any) -> PollEvent | None:
        """Look at the shared listing; a version that is not in it is asked for itself.

        Raises ClientError when the version does not exist.
        """
        listing = shared_listing(self.hook_parameters, self.group)
        await listing.refresh(client, self.poll_seconds)
        status = listing.statuses.get(self.model_package_arn)
        if status is None:
            package = await client.describe_model_package(ModelPackageName=self.model_package_arn)
            status = package["ModelApprovalStatus"]
        if status != PENDING:
            return {"status": status}
        version = Version(self.number, self.period)
        if superseding(version, listing.approved(), replace_newer=self.replace_newer):
            return {"status": "superseded"}
        return None
