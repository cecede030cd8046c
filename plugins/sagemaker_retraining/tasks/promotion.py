"""The promotion DAG's work: copy an approved version to another environment and register it there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining.config import load_environment
from sagemaker_retraining.endpoints.preconditions import require_approved
from sagemaker_retraining.endpoints.service_history import note_service
from sagemaker_retraining.hooks import RetrainingHook, server_side_encryption
from sagemaker_retraining.requests import build_requests
from sagemaker_retraining.requests.approval import short_name
from sagemaker_retraining.requests.processing import SAMPLE
from sagemaker_retraining.requests.promotion import promoted_package
from sagemaker_retraining.requests.registry import group_request
from sagemaker_retraining.requests.service_history import PROMOTION
from sagemaker_retraining.requests.validation import RequestError, validate
from sagemaker_retraining.s3_uri import split_s3_uri
from sagemaker_retraining.tasks import chosen_version
from sagemaker_retraining.xcom import PromotionPlan

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def plan_promotion(name: str, context: Context) -> PromotionPlan:
    """What is copied, registered and deployed in the target environment; nothing is changed."""
    params = context["params"]
    if params["source"] == params["target"]:
        raise AirflowFailException(f"source and target are both {params['source']!r}: choose two environments")
    source_model, source = chosen_version.load_configuration(name, params["source"])
    model, target = chosen_version.load_configuration(name, params["target"])
    if model.deploy.kind == "batch":
        raise AirflowFailException(f"{name}: deploy.kind is batch in {params['target']}; promotion deploys an endpoint")
    group_there = chosen_version.named(model.group, target)
    if (source.account, source.region, chosen_version.named(source_model.group, source)) == (
        target.account,
        target.region,
        group_there,
    ):
        raise AirflowFailException(
            f"{params['source']} and {params['target']} share the model package group {group_there}, so that a version "
            f"approved for one would be approved for both: write register.group with {{env}}, or another one for "
            f"{params['target']} under `models:` of its environment file"
        )
    hook = chosen_version.hook_of(source)
    package = chosen_version.require_version(hook, chosen_version.named(source_model.group, source), params["version"])
    require_approved(hook, package["ModelPackageArn"])
    plan = chosen_version.plan_for_version(model, target, package, context)
    line = chosen_version.service_note(context, PROMOTION, before=params["source"], after=params["target"])
    request, copies = promoted_package(plan, package, source_environment=source.environment, note=line)
    sample = chosen_version.sample_uri(hook, package)
    evaluation = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    copies[sample] = f"{copies[evaluation].rpartition('/')[0]}/{SAMPLE}"
    requests = build_requests(plan)
    group = group_request(plan)
    try:
        validate("CreateModelPackageGroup", group)
        validate("CreateModelPackage", request)
    except RequestError as error:
        raise AirflowFailException(str(error)) from error
    return {
        "source": source.environment,
        "source_arn": package["ModelPackageArn"],
        "aws_conn_id": target.aws_conn_id,
        "region_name": target.region,
        "kms_key_arn": target.output_kms_key_arn,
        "group": group,
        "package": request,
        "copies": copies,
        "sample_uri": copies[sample],
        "deploy": requests["deploy"],
        "verify": requests["verify"],
        "cleanup": requests["cleanup"],
        "note": line,
    }


def promote_version(plan: PromotionPlan) -> str:
    """Copy what the version needs and register it in the target, waiting for a person; its ARN.

    A retry copies the same objects again and finds the version that an earlier try registered.
    """
    source, target = chosen_version.hook_of(load_environment(plan["source"])), target_hook(plan)
    for uri, copy in plan["copies"].items():
        copy_object(source, target, uri, copy, kms_key=plan.get("kms_key_arn"))
    target.create_unless_there("create_model_package_group", plan["group"])
    arn = target.api.create_model_package(**plan["package"])["ModelPackageArn"]
    log.info("%s is %s now", short_name(plan["source_arn"]), arn)
    return arn


def copy_object(source: RetrainingHook, target: RetrainingHook, uri: str, copy: str, *, kms_key: str | None) -> None:
    """From one account's bucket to another's, through this worker: neither role needs to see the other's bucket."""
    bucket, key = split_s3_uri(uri)
    try:
        found = source.s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchBucket", "404"}:
            raise
        raise AirflowFailException(f"{uri}: there is no such object; nothing was registered or deployed") from error
    target_bucket, target_key = split_s3_uri(copy)
    encryption = server_side_encryption(kms_key)
    target.s3.upload_fileobj(found["Body"], target_bucket, target_key, ExtraArgs={**encryption})
    written = target.s3.head_object(Bucket=target_bucket, Key=target_key)["ContentLength"]
    if written != found["ContentLength"]:
        raise OSError(f"{copy} has {written} bytes, {uri} {found['ContentLength']}")
    log.info("%s → %s, %d bytes", uri, copy, written)


def target_hook(plan: PromotionPlan) -> RetrainingHook:
    """With the connection of the environment that a version is promoted to."""
    return RetrainingHook(aws_conn_id=plan["aws_conn_id"], region_name=plan["region_name"])


def note_promotion(plan: PromotionPlan, arn: str) -> None:
    """Note who promoted the version, and why, in the version of either account."""
    note_service(chosen_version.hook_of(load_environment(plan["source"])), [plan["source_arn"]], plan["note"])
    note_service(target_hook(plan), [arn], plan["note"])
