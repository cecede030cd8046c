"""CreateModelPackageGroup and CreateModelPackage.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
"""

from __future__ import annotations

import copy
import logging
import math
import uuid
from collections.abc import Mapping
from typing import Any

from sagemaker_retraining.config.load import INFERENCE_SCRIPT
from sagemaker_retraining.plan import RunPlan, clean_tag

# CustomerMetadataProperties takes 50 entries; the rest is ours.
MOST_METRICS = 30
EVALUATION = "evaluation.json"


def group_request(plan: RunPlan) -> dict[str, Any]:
    """The group of a model's versions. Versions take no tags, so the group has them."""
    description = plan.model.description or f"Versions of {plan.model.model}"
    return {
        "ModelPackageGroupName": plan.group,
        "ModelPackageGroupDescription": description,
        "Tags": plan.resource_tags,
    }


def package_request(plan: RunPlan) -> dict[str, Any]:
    """A version that waits for a person. Complete with `complete_package`, when there is an artefact."""
    model, registration = plan.model, plan.model.registration
    evaluation = {"ContentType": "application/json", "S3Uri": plan.run_uri(f"evaluation/{EVALUATION}")}
    instance_types = registration.inference_instance_types or (model.deploy.instance_type,)
    request = {
        "ModelPackageGroupName": plan.group,
        "ModelPackageDescription": f"{model.model} of {plan.period} by run {plan.run_id} of {plan.dag_id}"[:1024],
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": model.image.uri,
                    "ModelDataUrl": plan.model_artifact,
                    "Environment": _container_environment(plan),
                }
            ],
            "SupportedContentTypes": list(registration.content_types),
            "SupportedResponseMIMETypes": list(registration.response_types),
            "SupportedRealtimeInferenceInstanceTypes": list(instance_types),
            "SupportedTransformInstanceTypes": list(registration.transform_instance_types),
        },
        "ModelMetrics": {"ModelQuality": {"Statistics": evaluation}},
        "CustomerMetadataProperties": _metadata(_facts(plan)),
        "MetadataProperties": _lineage(plan),
        "ModelApprovalStatus": "PendingManualApproval",
        "ClientToken": _token(plan.model_artifact),
    }
    if plan.environment.kms_key_arn:
        request["SecurityConfig"] = {"KmsKeyId": plan.environment.kms_key_arn}
    return request


def complete_package(
    package: Mapping[str, Any],
    training: Mapping[str, Any],
    metrics: Mapping[str, float | None],
    raw_data: Mapping[str, Any],
    evaluation: Mapping[str, Any],
) -> dict[str, Any]:
    """The version's request with what only the run's tasks know.

    `training`, `raw_data` and `evaluation` are the XComs of train, data_ready and evaluate, `metrics` the challenger's
    by name. The ClientToken follows from the artefact: a retry asks for the same version, a new training job for a new
    one.
    """
    request = copy.deepcopy(dict(package))
    artifact = training["model_artifact"]
    request["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] = artifact
    request["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"] = (
        f"{evaluation['outputs']['evaluation']}{EVALUATION}"
    )
    request["MetadataProperties"]["GeneratedBy"] = training["arn"]
    request["ClientToken"] = _token(artifact)
    usable = {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}
    facts = {
        "training_job": training["name"],
        "training_seconds": training.get("training_seconds"),
        "billable_seconds": training.get("billable_seconds"),
        "data_fingerprint": raw_data["fingerprint"],
        "data_months": f"{raw_data['months'][0]}..{raw_data['months'][-1]}",
        **{f"metric.{name}": format(value, ".10g") for name, value in sorted(usable.items())[:MOST_METRICS]},
    }
    request["CustomerMetadataProperties"].update(_metadata(facts))
    return request


def _container_environment(plan: RunPlan) -> dict[str, str]:
    """Script mode of the serving container: train.py put its inference code into the artefact."""
    return {
        "SAGEMAKER_PROGRAM": INFERENCE_SCRIPT,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": str(logging.INFO),
        "SAGEMAKER_REGION": plan.environment.region,
        **plan.model.deploy.environment,
    }


def _facts(plan: RunPlan) -> dict[str, Any]:
    facts = {
        "model": plan.model.model,
        "period": str(plan.period),
        "environment": plan.environment.environment,
        "dag_id": plan.dag_id,
        "run_id": plan.run_id,
        "git_sha": plan.git_sha,
        "plan_uri": plan.run_uri("plan.json"),
        "code_sha256": plan.code.sha256,
    }
    if plan.champion:
        facts["champion"] = plan.champion.arn
    return facts


def _metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Texts that SageMaker takes; it refuses empty ones."""
    texts = {key: clean_tag(str(value)) for key, value in facts.items() if value is not None}
    return {key: value for key, value in texts.items() if value}


def _lineage(plan: RunPlan) -> dict[str, str]:
    lineage = {
        "CommitId": plan.git_sha,
        "GeneratedBy": f"{plan.dag_id}/{plan.run_id}",
        "ProjectId": plan.environment.project,
    }
    return {key: value[:1024] for key, value in lineage.items() if value}


def _token(artifact: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, artifact))
