"""What must hold before production is changed: the version, the endpoint and its owner, the bucket of data capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.endpoints.state import model_names, version_arn
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.plan import ownership
from sagemaker_retraining.promotion_rule import Version, superseding
from sagemaker_retraining.requests.approval import APPROVED, REJECTED, decision_of, short_name
from sagemaker_retraining.s3_uri import split_s3_uri

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import (
        DescribeEndpointConfigOutputTypeDef,
        DescribeEndpointOutputTypeDef,
        DescribeModelPackageOutputTypeDef,
        TagTypeDef,
    )

    from sagemaker_retraining.plan.document import EndpointConfigTemplate
    from sagemaker_retraining.requests.hosting import EndpointConfigRequest


def require_approved(hook: RetrainingHook, arn: str) -> DescribeModelPackageOutputTypeDef:
    """The described version. Raises AirflowFailException for one that is not there, or not Approved now."""
    try:
        package = registry.describe_version(hook.api, arn)
    except ClientError as error:
        if not registry.is_not_found(error):
            raise
        raise AirflowFailException(
            f"there is no version {short_name(arn)} in the registry; production stays as it is"
        ) from error
    decision = decision_of(package)
    if decision.status != APPROVED:
        raise AirflowFailException(
            f"{decision}; only an Approved version goes to production, which stays as it is. Approve it, or choose "
            f"another"
        )
    return package


def require_newest(
    hook: RetrainingHook,
    package: DescribeModelPackageOutputTypeDef,
    description: DescribeEndpointOutputTypeDef,
    *,
    replace_newer: bool,
) -> None:
    """Raise AirflowFailException when the described endpoint serves a version that this one must not replace.

    By the promotion rule, which approval asked of the registry: what went live since then, while this version
    waited, was retried or cleared, is not replaced by an older one. Shadows and challengers count.
    """
    version = registry.number_and_period(package)
    for variant, other in served_packages(hook, description["EndpointConfigName"]):
        found = registry.number_and_period(other)
        if other["ModelPackageGroupName"] != package["ModelPackageGroupName"]:
            found = Version(version.number, found.period)  # numbers of two groups cannot be compared
        if superseding(version, [found], replace_newer=replace_newer):
            raise AirflowFailException(
                f"{short_name(package['ModelPackageArn'])} of {version.period} is not deployed: "
                f"{short_name(other['ModelPackageArn'])} of {found.period} is newer and serves as {variant} of "
                f"{description['EndpointName']}, which stays as it is. To serve version {version.number} all the same, "
                f"trigger the model's rollback DAG with its number"
            )


def served_packages(hook: RetrainingHook, config_name: str) -> Iterator[tuple[str, DescribeModelPackageOutputTypeDef]]:
    """(variant, described version) of an endpoint config; without what was deleted, and rejected since."""
    for variant, model in model_names(hook, config_name).items():
        arn = version_arn(hook, model)
        package = hook.version_or_none(arn) if arn else None
        if package and package["ModelApprovalStatus"] != REJECTED:
            yield variant, package


def check_owner(hook: RetrainingHook, description: DescribeEndpointOutputTypeDef, tags: Sequence[TagTypeDef]) -> None:
    """Raise AirflowFailException when the endpoint's tags are not those of this model and environment."""
    ours = ownership({tag["Key"]: tag["Value"] for tag in tags})
    theirs = hook.tags(description["EndpointArn"])
    if differing := [key for key, value in ours.items() if theirs.get(key) != value]:
        found = ", ".join(f"{key}={theirs.get(key, 'none')}" for key in differing)
        wanted = ", ".join(f"{key}={ours[key]}" for key in differing)
        raise AirflowFailException(
            f"endpoint {description['EndpointName']} belongs to another: its tags say {found}, this run's {wanted}. "
            f"It stays as it is. Choose another deploy.endpoint, or tag the endpoint if it is this model's"
        )


def check_update(
    hook: RetrainingHook, description: DescribeEndpointOutputTypeDef, config: EndpointConfigRequest
) -> None:
    """Raise AirflowFailException when UpdateEndpoint would refuse this config, before anything is made."""
    if problem := update_problem(hook, description, config):
        raise AirflowFailException(f"{problem}. Nothing was made, and what serves now serves on")


def update_problem(
    hook: RetrainingHook,
    description: DescribeEndpointOutputTypeDef,
    config: EndpointConfigRequest | DescribeEndpointConfigOutputTypeDef,
) -> str | None:
    """Why an endpoint cannot be brought to a described config, and what to do; None when it can.

    UpdateEndpoint asks for the config that serves, and changes an endpoint's kind in one direction only.
    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-update.html, sagemaker-python-sdk PR 3124;
    terraform-provider-aws#40048
    """
    endpoint, serving = description["EndpointName"], description["EndpointConfigName"]
    elsewhere = "choose another deploy.endpoint, or delete this one first, after which nothing answers until the next"
    if description.get("AsyncInferenceConfig") and "AsyncInferenceConfig" not in config:
        return f"{endpoint} is asynchronous, which SageMaker takes from no endpoint: {elsewhere}"
    runs = description.get("ProductionVariants", [])
    if runs and _serverless(config.get("ProductionVariants", [])) and not _serverless(runs):
        return f"{endpoint} has instances, and SageMaker makes no such endpoint serverless: {elsewhere}"
    if hook.endpoint_config_or_none(serving) is None:
        return (
            f"{endpoint} serves the config {serving}, which has been deleted: SageMaker updates no endpoint whose "
            f"config is gone. Make a config of that name again (`aws sagemaker create-endpoint-config "
            f"--endpoint-config-name {serving}`, with any model), or delete the endpoint, and clear this task"
        )
    return None


def _serverless(found: Iterable[Mapping[str, object]]) -> bool:
    return any("ServerlessConfig" in variant or "CurrentServerlessConfig" in variant for variant in found)


def check_capture_bucket(hook: RetrainingHook, config: EndpointConfigTemplate) -> None:
    """Raise AirflowFailException when data capture would write into a bucket that does not exist."""
    uri = config.get("DataCaptureConfig", {}).get("DestinationS3Uri")
    if uri is None:
        return
    bucket, _ = split_s3_uri(uri)
    try:
        hook.s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        # 403: Airflow may not list it; the endpoint's own role may still write there.
        if error.response["Error"]["Code"] in {"404", "NoSuchBucket"}:
            raise AirflowFailException(
                f"data capture: there is no bucket {bucket} for {uri}. Create it, or correct `bucket` in the "
                f"environment's file; the endpoint stays as it is"
            ) from error
        if error.response["Error"]["Code"] not in {"403", "AccessDenied"}:
            raise
