"""The local SageMaker as the suite sees it: what exists, what the logs say, and the fault switches."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from botocore.config import Config

from include.laptop.layout import REGION, Addresses
from include.laptop.run.jobs import JOB_STEPS
from include.sagemaker_local.control.faults import DEFAULT, FaultCounts
from include.sagemaker_local.state.spot import SpotRule
from sagemaker_retraining.s3_uri import split_s3_uri

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DescribeTrainingJobResponseTypeDef

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class Cloud:
    """Clients that persist: the suite has to see and approve while the service fails."""

    def __init__(self, where: Addresses) -> None:
        self._where = where
        self._local = httpx.Client(base_url=where.sagemaker, trust_env=False, timeout=30)
        self.api = self.client("sagemaker")
        self.s3 = self.client("s3")
        self.logs = self.client("logs")

    def client(self, service: str) -> Any:
        """A boto3 client."""
        session: Any = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)
        config = Config(proxies={}, retries={"total_max_attempts": 15, "mode": "standard"})
        return session.client(service, endpoint_url=self._where.sagemaker, config=config)

    # --- switches ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def faults(self, **settings: Any) -> Iterator[None]:
        """The service fails as `/_local/faults` says, until the end of the block."""
        self._put("faults", {**DEFAULT, **settings})
        try:
            yield
        finally:
            self._put("faults", DEFAULT)

    def fault_counts(self) -> FaultCounts:
        """What was done to how many calls since the switches were set."""
        counts: FaultCounts = self._local.get("/_local/faults").raise_for_status().json()["counts"]
        return counts

    @contextlib.contextmanager
    def spot(self, *rules: SpotRule) -> Iterator[None]:
        """Spot behaves as the rules say, until the end of the block."""
        self._put("spot", {"rules": list(rules)})
        try:
            yield
        finally:
            self._put("spot", {"rules": []})

    def _put(self, path: str, settings: Mapping[str, object]) -> None:
        self._local.put(f"/_local/{path}", json=settings).raise_for_status()

    # --- jobs -------------------------------------------------------------------------------------

    def jobs(self, step: str, name: str) -> list[str]:
        """All jobs of this name and its generations, oldest first."""
        kind = JOB_STEPS[step].capitalize()
        pages = self.api.get_paginator(f"list_{kind.lower()}_jobs").paginate(
            NameContains=name, SortBy="CreationTime", SortOrder="Ascending"
        )
        names = [job[f"{kind}JobName"] for page in pages for job in page[f"{kind}JobSummaries"]]
        return [found for found in names if re.fullmatch(rf"{re.escape(name)}(-g\d+)?", found)]

    def training(self, name: str) -> DescribeTrainingJobResponseTypeDef:
        """A described training job."""
        description: DescribeTrainingJobResponseTypeDef = self.api.describe_training_job(TrainingJobName=name)
        return description

    def training_status(self, name: str) -> str:
        """InProgress, Completed, Failed, Stopping or Stopped."""
        return str(self.training(name)["TrainingJobStatus"])

    def attempts(self, name: str) -> list[list[str]]:
        """The lines of a training job's log, one list per start of its container."""
        try:
            pages = list(self.logs.get_paginator("filter_log_events").paginate(logGroupName=LOG_GROUP))
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        found = [e for page in pages for e in page["events"] if e["logStreamName"].startswith(f"{name}/")]
        events = sorted(found, key=lambda e: e["timestamp"])
        attempts: list[list[str]] = []
        for line in (event["message"].strip() for event in events):
            if line.startswith("from round "):
                attempts.append([])
            if attempts:
                attempts[-1].append(line)
        return attempts

    def rounds(self, name: str) -> list[int]:
        """The numbers of all rounds a training job has done, in order, repeated ones repeated."""
        return [number for lines in self.attempts(name) for number in rounds_in(lines)]

    # --- registry and endpoints -------------------------------------------------------------------

    def approve(self, arn: str) -> None:
        """As a reviewer does."""
        self.api.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="approved by the fault suite"
        )

    def packages(self, group: str) -> list[str]:
        """ARNs of all versions of a group."""
        pages = self.api.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
        return [found["ModelPackageArn"] for page in pages for found in page["ModelPackageSummaryList"]]

    def artifact(self, arn: str) -> str:
        """The model data of a version."""
        containers = self.api.describe_model_package(ModelPackageName=arn)["InferenceSpecification"]["Containers"]
        return str(containers[0]["ModelDataUrl"])

    def models_of(self, packages: list[str]) -> list[str]:
        """Names of the models made from these versions."""
        pages = self.api.get_paginator("list_models").paginate()
        names = [found["ModelName"] for page in pages for found in page["Models"]]
        return [name for name in names if self._package_of(name) in packages]

    def _package_of(self, model: str) -> str | None:
        described = self.api.describe_model(ModelName=model)
        containers = [described.get("PrimaryContainer") or {}, *described.get("Containers", [])]
        return next((item["ModelPackageName"] for item in containers if "ModelPackageName" in item), None)

    def endpoints(self, name: str) -> list[str]:
        """Names of the endpoints with this name or one made from it."""
        pages = self.api.get_paginator("list_endpoints").paginate(NameContains=name)
        return [found["EndpointName"] for page in pages for found in page["Endpoints"]]

    # --- S3 ---------------------------------------------------------------------------------------

    def objects(self, uri: str) -> dict[str, tuple[str, str]]:
        """Key → (ETag, time of the last change) of everything under an S3 URI."""
        bucket, prefix = split_s3_uri(uri)
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [item for page in pages for item in page.get("Contents", [])]
        return {item["Key"]: (item["ETag"], item["LastModified"].isoformat()) for item in found}

    def predictions(self, sample_uri: str) -> list[float]:
        """What the evaluation computed for the sample."""
        bucket, key = split_s3_uri(sample_uri)
        lines = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()
        return [json.loads(line)["prediction"] for line in lines]


def rounds_in(lines: list[str]) -> list[int]:
    """The rounds of one start of the container."""
    return [int(line.removeprefix("round ")) for line in lines if line.startswith("round ")]
