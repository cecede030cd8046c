"""All AWS calls of the package that are not a wait: jobs, objects in S3, the Model Registry, endpoints."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, cast

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from botocore.config import Config
from botocore.exceptions import ClientError

from sagemaker_retraining.registry import is_not_found
from sagemaker_retraining.s3_uri import split_s3_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import (
        DescribeEndpointConfigOutputTypeDef,
        DescribeEndpointOutputTypeDef,
        DescribeModelOutputTypeDef,
        DescribeModelPackageGroupOutputTypeDef,
        DescribeModelPackageOutputTypeDef,
        UpdateEndpointInputTypeDef,
    )

    from sagemaker_retraining.outcomes import Description

T = TypeVar("T")
# boto3's own three to five attempts are soon used up when an account is throttled, and then cost a try of the task.
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 10})

# "If you repeat … in a few seconds" says CreateEndpoint's documentation of a config that was just created.
CONSISTENT_SECONDS, CONSISTENT_PAUSE_SECONDS = 60, 2
MODEL_LATE, CONFIG_LATE = 'could not find model "', "could not find endpoint configuration"
# A role that was just made is refused for seconds, seldom a minute; Terraform's SageMaker resources ask again too.
ROLE_SECONDS = 120
ROLE_LATE = "could not assume role"


@dataclass(frozen=True)
class JobKind:
    """How the API spells one kind of job: processing, training and transform differ in nothing else we need."""

    name: str
    log_group: str

    @property
    def name_key(self) -> str:
        """`TrainingJobName`"""
        return f"{self.name}JobName"

    @property
    def status_key(self) -> str:
        """`TrainingJobStatus`"""
        return f"{self.name}JobStatus"

    def method(self, verb: str) -> str:
        """The boto3 method, such as `describe_training_job`."""
        return f"{verb}_{self.name.lower()}_job"


PROCESSING = JobKind("Processing", "/aws/sagemaker/ProcessingJobs")
TRAINING = JobKind("Training", "/aws/sagemaker/TrainingJobs")
TRANSFORM = JobKind("Transform", "/aws/sagemaker/TransformJobs")
JOB_KINDS = {kind.name: kind for kind in (PROCESSING, TRAINING, TRANSFORM)}


class Patient:
    """Mixin of this package's hooks: their clients repeat a call for longer than the provider's."""

    @property
    def config(self) -> Config:
        """The client's configuration: that of the connection or the operator; where they set nothing, more retries."""
        return PATIENT.merge(super().config)  # type: ignore[misc] # of the provider's hook that follows


class PatientS3Hook(Patient, S3Hook):
    """The provider's S3Hook."""


class PatientLogsHook(Patient, AwsLogsHook):
    """The provider's AwsLogsHook."""


class RetrainingHook(Patient, SageMakerHook):
    """The provider's SageMakerHook with its S3 and Logs hooks in the same region and with the same configuration.

    The provider builds them from `aws_conn_id` alone, so `region_name="eu-west-1"` would read logs in the
    connection's region.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        shared: Any = {"region_name": self._region_name, "verify": self._verify, "config": self._config}
        self.s3_hook = PatientS3Hook(aws_conn_id=self.aws_conn_id, **shared)
        self.logs_hook = PatientLogsHook(aws_conn_id=self.aws_conn_id, **shared)

    @property
    def api(self) -> SageMakerClient:
        """The boto3 client; the provider's annotation of `conn` knows no operations."""
        return cast("SageMakerClient", self.conn)

    @property
    def s3(self) -> S3Client:
        """The S3 client."""
        return cast("S3Client", self.s3_hook.conn)

    def client(self, service: str, attempts: int | None = None, read_timeout: float | None = None) -> Any:
        """A client of another service, with the same connection and configuration.

        `attempts` 1: it never retries. `read_timeout` is how many seconds it waits for an answer.
        """
        config = self.config
        if read_timeout is not None:
            config = config.merge(Config(read_timeout=read_timeout))
        if attempts is not None:
            config = config.merge(Config(retries={"mode": "standard", "total_max_attempts": attempts}))
        return AwsBaseHook(
            client_type=service,
            aws_conn_id=self.aws_conn_id,
            region_name=self._region_name,
            verify=self._verify,
            config=config,
        ).conn

    # --- jobs -------------------------------------------------------------------------------------

    def create_job(self, kind: JobKind, request: Mapping[str, object]) -> bool:
        """Create the job; False when the name is taken (ResourceInUse). Together: an atomic create-or-attach."""
        try:
            self.eventually(kind.method("create"), request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceInUse":
                return False
            raise
        return True

    def describe_job(self, kind: JobKind, name: str) -> Description:
        """The Describe response. Raises ClientError when there is no such job."""
        response: Description = getattr(self.api, kind.method("describe"))(**{kind.name_key: name})
        return response

    def stop_job(self, kind: JobKind, name: str) -> None:
        """Ask SageMaker to stop the job; a job that has ended already is left as it is."""
        try:
            getattr(self.api, kind.method("stop"))(**{kind.name_key: name})
        except ClientError as error:
            if not has_ended(error):
                raise
            self.log.info("Nothing to stop: %s", error.response["Error"]["Message"])

    # --- S3 ---------------------------------------------------------------------------------------

    def read_json(self, uri: str) -> Any:
        """The JSON document at an `s3://` URI. Raises ValueError naming the URI when it is missing or not JSON."""
        try:
            return json.loads(self.read_bytes(uri))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{uri}: not JSON: {error}") from error

    def read_bytes(self, uri: str) -> bytes:
        """The object at an `s3://` URI. Raises ValueError naming the URI when there is none."""
        bucket, key = split_s3_uri(uri)
        try:
            return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchBucket", "404"}:
                raise ValueError(f"{uri}: there is no such object") from error
            raise

    def write_bytes(
        self,
        uri: str,
        body: bytes,
        *,
        kms_key: str | None,
        tags: str = "",
        content_type: str = "application/octet-stream",
    ) -> None:
        """Put an object, encrypted with this key; None leaves it to the bucket. `tags` is a URL-encoded tag set."""
        bucket, key = split_s3_uri(uri)
        encryption = server_side_encryption(kms_key)
        self.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, Tagging=tags, **encryption)

    def delete(self, uri: str) -> None:
        """Delete the object at this `s3://` URI, if there is one."""
        bucket, key = split_s3_uri(uri)
        self.s3.delete_object(Bucket=bucket, Key=key)

    def exists(self, uri: str) -> bool:
        """Whether there is an object at this `s3://` URI."""
        bucket, key = split_s3_uri(uri)
        found: bool = self.s3_hook.check_for_key(key, bucket)
        return found

    def list_objects(self, bucket: str, prefix: str) -> list[ObjectTypeDef]:
        """All objects under a prefix, sorted by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted((item for page in pages for item in page.get("Contents", [])), key=lambda item: item["Key"])

    # --- hosting ----------------------------------------------------------------------------------

    def create_unless_there(self, method: str, request: Mapping[str, object]) -> bool:
        """False when there is one of that name: of an earlier try, another run, or this call, whose answer was lost."""
        try:
            self.eventually(method, request)
        except ClientError as error:
            answer = error.response["Error"]
            if answer["Code"] != "ValidationException" or "already exist" not in answer["Message"]:
                raise
            return False
        return True

    def eventually(self, method: str, request: Mapping[str, object]) -> Any:
        """Call again while a model, config or role that was just made is not found: AWS reads its own writes late."""
        began = time.monotonic()
        while True:
            try:
                return getattr(self.api, method)(**request)
            except ClientError as error:
                text = error.response["Error"]["Message"].lower()
                seconds = ROLE_SECONDS if text.startswith(ROLE_LATE) else CONSISTENT_SECONDS
                # Without our config in it: the config that the endpoint is on was deleted, and that stays so.
                late = text.startswith((MODEL_LATE, ROLE_LATE)) or (
                    text.startswith(CONFIG_LATE) and names(request, text)
                )
                if not late or time.monotonic() - began > seconds:
                    raise
                self.log.info("%s; asking again for at most %s s", error, seconds)
                time.sleep(CONSISTENT_PAUSE_SECONDS)

    def begin_update(self, request: UpdateEndpointInputTypeDef) -> bool:
        """UpdateEndpoint. False when a change is under way: another's, or this one's, whose answer was lost."""
        try:
            self.eventually("update_endpoint", request)
        except ClientError as error:
            if "in-progress" not in error.response["Error"]["Message"]:
                raise
            return False
        return True

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a SageMaker resource."""
        pages = self.api.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def endpoint_or_none(self, name: str) -> DescribeEndpointOutputTypeDef | None:
        """The described endpoint; None when there is no such endpoint."""
        return described_or_none(lambda: self.api.describe_endpoint(EndpointName=name))

    def endpoint_config_or_none(self, name: str) -> DescribeEndpointConfigOutputTypeDef | None:
        """The described endpoint config; None when it has been deleted."""
        return described_or_none(lambda: self.api.describe_endpoint_config(EndpointConfigName=name))

    def model_or_none(self, name: str) -> DescribeModelOutputTypeDef | None:
        """The described model; None when it has been deleted."""
        return described_or_none(lambda: self.api.describe_model(ModelName=name))

    def version_or_none(self, arn: str) -> DescribeModelPackageOutputTypeDef | None:
        """The described version (model package); None when it has been deleted."""
        return described_or_none(lambda: self.api.describe_model_package(ModelPackageName=arn))

    def group_or_none(self, name: str) -> DescribeModelPackageGroupOutputTypeDef | None:
        """The described model package group; None when there is no such group."""
        return described_or_none(lambda: self.api.describe_model_package_group(ModelPackageGroupName=name))


def described_or_none(describe: Callable[[], T]) -> T | None:
    """What a Describe call answers, or None when the resource does not exist."""
    try:
        return describe()
    except ClientError as error:
        if is_not_found(error):
            return None
        raise


class Encryption(TypedDict, total=False):
    """The arguments of PutObject that say how the object is encrypted."""

    ServerSideEncryption: Literal["aws:kms"]
    SSEKMSKeyId: str


def server_side_encryption(kms_key: str | None) -> Encryption:
    """The arguments of PutObject, and of any other way of putting an object, that choose the key.

    A bucket policy may demand these headers, whatever the bucket's default is.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}


def names(request: Mapping[str, object], text: str) -> bool:
    """Whether the request asks for what an error does not find."""
    missing = text.rpartition("/")[2].rstrip('".')
    return f'"{missing}"' in json.dumps(request).lower()


def has_ended(error: ClientError) -> bool:
    """Whether a Stop call was refused because the job has ended already, or is not there."""
    return bool(error.response["Error"]["Code"] == "ValidationException")
