"""CreateTransformJob: a month's predictions without an endpoint.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sagemaker_retraining.config.serving import Batch
from sagemaker_retraining.plan import RunPlan
from sagemaker_retraining.requests.hosting import content_name, model_template
from sagemaker_retraining.requests.volumes import volume_key

PREDICTIONS = "predictions"


def transform_templates(plan: RunPlan) -> dict[str, Any]:
    """`{model, transform}`, less what follows from the approved version (`transform_requests`)."""
    return {"name": plan.model.slug, "model": model_template(plan), "transform": _transform(plan)}


def transform_requests(config: Mapping[str, Any], model_package_arn: str) -> dict[str, dict[str, Any]]:
    """`{operation: request}` of scoring with a version; `config` is the plan's `transform`."""
    model, transform = copy.deepcopy(config["model"]), copy.deepcopy(config["transform"])
    model["PrimaryContainer"] = {"ModelPackageName": model_package_arn}
    model["ModelName"] = transform["ModelName"] = content_name(config["name"], model)
    return {"CreateModel": model, "CreateTransformJob": transform}


def _transform(plan: RunPlan) -> dict[str, Any]:
    batch, registration = plan.model.deploy.batch or Batch(), plan.model.registration
    where = batch.input_uri or plan.uri(f"{plan.model.model}/scoring/period={{period}}/")
    resources: dict[str, Any] = {"InstanceType": batch.instance_type, "InstanceCount": batch.instance_count}
    output: dict[str, Any] = {
        # The month's place, the same for every run: who reads it wants one answer, and that of the newest version.
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
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": where.replace("{period}", str(plan.period))}
            },
            "ContentType": batch.content_type or registration.content_types[0],
            "CompressionType": "None",
            "SplitType": "Line",
        },
        "TransformOutput": output,
        "TransformResources": resources,
        "Tags": plan.resource_tags,
    }
