"""Wait for a person's decision on a model version."""

from __future__ import annotations

from typing import Any

from sagemaker_retraining.triggers.base import PollTrigger


class ApprovalTrigger(PollTrigger):
    """Fires `{"status": "Approved" | "Rejected"}` when the version is no longer PendingManualApproval."""

    def __init__(self, *, model_package_arn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_package_arn = model_package_arn

    def fields(self) -> dict[str, Any]:
        """The version."""
        return {"model_package_arn": self.model_package_arn}

    async def poll(self, client: Any) -> dict[str, Any] | None:
        """One Describe."""
        package = await client.describe_model_package(ModelPackageName=self.model_package_arn)
        status = package["ModelApprovalStatus"]
        return None if status == "PendingManualApproval" else {"status": status}
