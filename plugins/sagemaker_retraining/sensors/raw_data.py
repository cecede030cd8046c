"""Wait for the month's raw data and pin down exactly which objects the run reads."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.period import Period
from sagemaker_retraining.raw_months import SUCCESS, History, complete_months, month_of
from sagemaker_retraining.triggers.s3_object import S3ObjectTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sagemaker_retraining.plan.document import DataReadyConfig
    from sagemaker_retraining.raw_months import RawData
    from sagemaker_retraining.triggers.base import PollEvent

MANIFEST_DIGITS = 12


class RawDataSensor(AwsBaseSensor[RetrainingHook]):
    """Waits for `_SUCCESS` of the run's month, then writes the manifest that preprocess reads.

    With `timeout_seconds=0` it does not wait. A month without `_SUCCESS` is not read: within `history_months` that is
    an error, unless all earlier months lack it too; of all months it is a warning.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(self, *, config: DataReadyConfig, poll_seconds: float, timeout_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.poll_seconds = poll_seconds
        self.timeout_seconds = timeout_seconds

    def execute(self, context: Context) -> RawData:
        """Look once on the worker, then from the triggerer."""
        bucket, key = self.config["bucket"], self.config["success_key"]
        if self.hook.exists(f"s3://{bucket}/{key}"):
            return self.write_manifest()
        if not self.timeout_seconds:
            raise AirflowFailException(f"s3://{bucket}/{key} is not there, and nobody delivers it: {self.there()}")
        self.log.info("Waiting for s3://%s/%s", bucket, key)
        self.defer(
            trigger=S3ObjectTrigger(
                bucket=bucket,
                key=key,
                poll_seconds=self.poll_seconds,
                since=time.time(),
                deadline=time.time() + self.timeout_seconds,
                hook_parameters=self._hook_parameters,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: PollEvent) -> RawData:
        """The data came, or the time is over."""
        if event["status"] == "timeout":
            hours = self.timeout_seconds / 3600
            raise AirflowFailException(
                f"s3://{self.config['bucket']}/{self.config['success_key']} did not come in {hours:g} h"
            )
        return self.write_manifest()

    def there(self) -> str:
        """Which months could be run instead."""
        bucket, prefix = self.config["bucket"], self.config["raw_prefix"]
        names = [item["Key"].removeprefix(prefix) for item in self.hook.list_objects(bucket, f"{prefix}period=")]
        months = complete_months(names)
        return f"complete months are {months[0]} to {months[-1]}" if months else "no month is complete"

    def check(self, history: History) -> None:
        """Fail when months that model.yaml asks for are missing; warn when others are."""
        raw_uri, period = f"s3://{self.config['bucket']}/{self.config['raw_prefix']}", self.config["period"]
        asked, gaps = self.config["history_months"], ", ".join(map(str, history.missing))
        if not history.months:
            window = f" within history_months: {asked}" if asked and history.missing else ""
            raise AirflowFailException(f"{raw_uri}: no complete month before {period} to learn from{window}")
        if gaps and asked:
            raise AirflowFailException(
                f"{raw_uri}: history_months: {asked} of {period} lacks {gaps}, and there are earlier months: deliver "
                f"them, or put {SUCCESS} alone where a month has no data, such as period={history.missing[0]}/{SUCCESS}"
            )
        if gaps:
            self.log.warning(
                "Raw data of %s: between the first month and this one there is no complete %s", period, gaps
            )

    def write_manifest(self) -> RawData:
        """List the months' objects and write them as a SageMaker ManifestFile.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingS3Input.html
        """
        bucket, prefix = self.config["bucket"], self.config["raw_prefix"]
        objects = self.hook.list_objects(bucket, f"{prefix}period=")
        period = Period.parse(self.config["period"])
        history = History.of(
            [item["Key"].removeprefix(prefix) for item in objects], period, self.config["history_months"]
        )
        self.check(history)
        months = [*history.months, period]
        chosen = [
            (item["Key"].removeprefix(prefix), item)
            for item in objects
            if month_of(item["Key"].removeprefix(prefix)) in months and not item["Key"].endswith(SUCCESS)
        ]
        names = "\n".join(f"{name} {item['ETag']}" for name, item in chosen)
        fingerprint = hashlib.sha256(names.encode()).hexdigest()
        # In the run's bucket; raw data may lie in another.
        manifest_uri = manifest_of(self.config["manifest_uri"], fingerprint)
        manifest = [{"prefix": f"s3://{bucket}/{prefix}"}, *(name for name, _ in chosen)]
        body, key = json.dumps(manifest, indent=1).encode(), self.config.get("kms_key_arn")
        self.hook.write_bytes(manifest_uri, body, kms_key=key, content_type="application/json")
        result: RawData = {
            "manifest_uri": manifest_uri,
            "months": [str(month) for month in months],
            "missing": [str(month) for month in history.missing],
            "objects": len(chosen),
            "bytes": sum(item["Size"] for _, item in chosen),
            "fingerprint": fingerprint,
        }
        self.log.info("Raw data of %s: %s", self.config["period"], result)
        return result


def manifest_of(uri: str, fingerprint: str) -> str:
    """`…/raw.manifest` → `…/raw-<fingerprint>.manifest`: other data make another request, whose job is another one."""
    return f"{uri.removesuffix('.manifest')}-{fingerprint[:MANIFEST_DIGITS]}.manifest"
