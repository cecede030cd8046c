"""What the operations of all kinds of jobs share: the checks that the service model cannot make, and a job's life."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError, validation_error
from include.sagemaker_local.jobs.job import IN_PROGRESS, LIVE_STATUSES
from include.sagemaker_local.jobs.record import PREFIX, TRAINING, JobRecord, enter, mark_stopping
from include.sagemaker_local.jobs.transform import no_objects
from include.sagemaker_local.operations.disks import check_volume_key, cluster
from include.sagemaker_local.operations.listing import page
from include.sagemaker_local.operations.roles import require_role
from include.sagemaker_local.operations.table import OperationContext, Request, Response
from include.sagemaker_local.operations.tags import check_tags, save_tags
from include.sagemaker_local.s3_uri import split_s3
from include.sagemaker_local.state.quotas import Quotas, exceeded
from include.sagemaker_local.state.tags import delete_all_tags

DEFAULT_RUNTIME_SECONDS = 86_400
_TAKEN = "Job name must be unique within an AWS account and region, and a job with this name already exists"
_TRAINING_TAKEN = (
    "Training job names must be unique within an AWS account and region, and a training job with this name already "
    "exists"
)


def check_common(context: Context, request: Request) -> None:
    """The checks of every job: tags, disks and role. Raises ValidationException."""
    check_tags(request.get("Tags", []))
    check_volume_key(request)
    require_role(context, request["RoleArn"])


def check_instances(context: Context, kind: str, resources: Request, *, spot: bool = False) -> None:
    """Raise ResourceLimitExceeded for instances above a quota. One instance a job is what this machine is.

    Spot training has a quota of its own on AWS.
    """
    instance, wanted = resources.get("InstanceType", ""), resources.get("InstanceCount", 1)
    prefix = PREFIX[kind]
    quota = f"{instance} for {'spot ' if spot else ''}{prefix.lower()} job usage"
    if wanted > 1:
        raise exceeded(quota, 1, 0, wanted, " (The local SageMaker runs one instance per job.)")
    limit = Quotas(context.store).limit(quota)
    if limit is None:
        return
    used = sum(
        job[f"{prefix}JobStatus"] in LIVE_STATUSES
        and job.get("EnableManagedSpotTraining", False) is spot
        and cluster(job).get("InstanceType") == instance
        for job in context.store.list(kind)
    )
    if used + wanted > limit:
        raise exceeded(quota, limit, used, wanted)


def check_bucket(context: Context, member: str, url: str) -> None:
    """Raise ValidationException unless the bucket of an output address exists."""
    bucket, _ = split_s3(url)
    try:
        context.client("s3").head_bucket(Bucket=bucket)
    except (ClientError, ParamValidationError) as error:
        raise validation_error(f"Could not access the S3 bucket {bucket} given in {member} {url}.") from error


def check_objects(context: Context, url: str, role: str) -> None:
    """Raise ValidationException unless something is at the S3 address, as AWS does when training is asked for."""
    bucket, prefix = split_s3(url)
    try:
        found = context.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["KeyCount"]
    except (ClientError, ParamValidationError):
        found = 0
    if not found:
        raise validation_error(no_objects(url, context.settings.region, role))


def check_unique(member: str, values: Iterable[str]) -> None:
    """Raise ValidationException when a name comes twice."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise validation_error(f"{member} must be unique within a job, but {value} is given twice.")
        seen.add(value)


def create(context: OperationContext, kind: str, request: Request, described: Mapping[str, object]) -> Response:
    """Store a job that has been checked, as its Describe answer has it, and start it. Raises ResourceInUse.

    `described` holds what Describe answers beside, or instead of, the request's members.
    """
    prefix, now = PREFIX[kind], time.time()
    name = request[f"{prefix}JobName"]
    arn = context.arn(kind, name)
    body: Any = {
        **{member: value for member, value in request.items() if member != "Tags"},
        **described,
        f"{prefix}JobArn": arn,
        f"{prefix}JobStatus": IN_PROGRESS,
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    if kind == TRAINING:
        enter(body, "Starting", "Starting the training job", now)
    if not context.store.insert(kind, name, body):
        raise AwsError("ResourceInUse", f"{_TRAINING_TAKEN if kind == TRAINING else _TAKEN} ({arn})")
    save_tags(context, arn, request)
    JobRecord[Any](context, kind, name).announce(body)
    context.jobs.start(kind, name)
    return {f"{prefix}JobArn": arn}


def require(context: Context, kind: str, name: str) -> Response:
    """The stored job; ValidationException when there is none."""
    body: Response | None = context.store.get(kind, name)
    if body is None:
        text = f"Could not find requested job with name: {name}"
        raise validation_error("Requested resource not found." if kind == TRAINING else text)
    return body


def summaries(context: Context, kind: str, request: Request) -> Response:
    """A page of a List operation: the jobs of a kind, filtered and sorted."""
    prefix = PREFIX[kind]
    jobs = context.store.list(kind)
    return page(request, jobs, member=f"{prefix}JobSummaries", name=f"{prefix}JobName", status=f"{prefix}JobStatus")


def stop(context: OperationContext, kind: str, name: str) -> Response:
    """Stop a job that exists; ValidationException when it is not in progress."""

    def change(body: Any) -> None:  # of any kind
        if body[f"{PREFIX[kind]}JobStatus"] != IN_PROGRESS:
            raise _wrong_status(kind, body)
        mark_stopping(kind, body)

    JobRecord[Any](context, kind, name).change(change)
    context.jobs.stop(kind, name)
    return {}


def delete(context: Context, kind: str, name: str) -> Response:
    """Forget a job that has ended; its name can be used again."""
    body = require(context, kind, name)
    if body[f"{PREFIX[kind]}JobStatus"] in LIVE_STATUSES:
        raise _wrong_status(kind, body)
    context.store.delete(kind, name)
    delete_all_tags(context.store, context.arn(kind, name))
    return {}


def _wrong_status(kind: str, body: Response) -> AwsError:
    prefix = PREFIX[kind]
    status = body[f"{prefix}JobStatus"]
    return validation_error(f"The request was rejected because the {prefix.lower()} job is in status {status}.")
