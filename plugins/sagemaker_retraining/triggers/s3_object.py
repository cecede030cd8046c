"""Wait for an object in S3."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.exceptions import ClientError

from sagemaker_retraining.triggers.base import PollEvent, PollTrigger


class S3ObjectTrigger(PollTrigger):
    """Fires the status `found` when the object is there."""

    arguments = ("bucket", "key")

    def __init__(self, *, bucket: str, key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.key = key

    def hook(self) -> S3Hook:
        """S3 instead of SageMaker, same connection."""
        return S3Hook(**self.hook_parameters)

    async def poll(self, client: Any) -> PollEvent | None:
        """One HeadObject."""
        try:
            await client.head_object(Bucket=self.bucket, Key=self.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
                return None
            raise
        return {"status": "found"}
