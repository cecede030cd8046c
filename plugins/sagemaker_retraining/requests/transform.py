"""CreateTransformJob: a month's predictions without an endpoint.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

from sagemaker_retraining.config.serving import Batch
from sagemaker_retraining.plan import RunPlan
from sagemaker_retraining.plan.document import TransformConfig, TransformJobTemplate
from sagemaker_retraining.requests.hosting import ModelRequest, model_request, model_template
from sagemaker_retraining.requests.volumes import volume_key

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import TransformInstanceTypeType
    from mypy_boto3_sagemaker.type_defs import (
        TransformOutputTypeDef,
        TransformResourcesTypeDef,
    )

PREDICTIONS = "predictions"


class TransformJobRequest(TransformJobTemplate):
    """CreateTransformJob."""

    ModelName: str


class TransformRequests(TypedDict):
    """What scores a month with a version, by operation."""

    CreateModel: ModelRequest
    CreateTransformJob: TransformJobRequest


def transform_templates(plan: RunPlan) -> TransformConfig:
    """What a transform job needs, less what follows from the approved version (`transform_requests`)."""
    return {"name": plan.model.slug, "model": model_template(plan), "transform": _transform(plan)}


def transform_requests(config: TransformConfig, model_package_arn: str) -> TransformRequests:
    """Scoring with a version; `config` is the plan's `transform`."""
    model = model_request(config["model"], config["name"], model_package_arn)
    return {"CreateModel": model, "CreateTransformJob": {**config["transform"], "ModelName": model["ModelName"]}}


def _transform(plan: RunPlan) -> TransformJobTemplate:
    batch, registration = plan.model.deploy.batch or Batch(), plan.model.registration
    source = batch.input_uri or plan.uri(f"{plan.model.model}/scoring/period={{period}}/")
    resources: TransformResourcesTypeDef = {
        "InstanceType": cast("TransformInstanceTypeType", batch.instance_type),
        "InstanceCount": batch.instance_count,
    }
    output: TransformOutputTypeDef = {
        # The month's location, the same for every run: who reads it wants one answer, and that of the newest version.
        "S3OutputPath": plan.uri(f"{plan.model.model}/{PREDICTIONS}/period={plan.period}/"),
        "Accept": registration.response_types[0],
        "AssembleWith": "Line",
    }
    if key := volume_key(plan, batch.instance_type):
        resources["VolumeKmsKeyId"] = key
    if plan.environment.output_kms_key_arn:
        output["KmsKeyId"] = plan.environment.output_kms_key_arn
    return {
        "TransformJobName": plan.job_name("transform"),
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": batch.max_payload_mb,
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source.replace("{period}", str(plan.period))}
            },
            "ContentType": batch.content_type or registration.content_types[0],
            "CompressionType": "None",
            "SplitType": "Line",
        },
        "TransformOutput": output,
        "TransformResources": resources,
        "Tags": plan.resource_tags,
    }
