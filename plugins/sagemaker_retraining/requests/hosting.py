"""CreateModel, CreateEndpointConfig and CreateEndpoint.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sagemaker_retraining.plan import RunPlan, fingerprint
from sagemaker_retraining.requests.processing import vpc_config

VARIANT = "AllTraffic"


def deploy_templates(plan: RunPlan) -> dict[str, Any]:
    """`{model, endpoint_config, endpoint}`, less what follows from the approved version (`deployment_requests`)."""
    deploy, environment = plan.model.deploy, plan.environment
    model: dict[str, Any] = {"ExecutionRoleArn": environment.role_arn, "Tags": plan.resource_tags}
    if vpc := vpc_config(plan):
        model["VpcConfig"] = vpc
    variant = {
        "VariantName": VARIANT,
        "InstanceType": deploy.instance_type,
        "InitialInstanceCount": deploy.instance_count,
        "InitialVariantWeight": 1.0,
    }
    config: dict[str, Any] = {"ProductionVariants": [variant], "DataCaptureConfig": _capture(plan)}
    if environment.kms_key_arn:
        config["KmsKeyId"] = environment.kms_key_arn
    config["Tags"] = plan.resource_tags
    return {
        "model": model,
        "endpoint_config": config,
        "endpoint": {"EndpointName": plan.endpoint, "Tags": plan.resource_tags},
    }


def deployment_requests(deploy: Mapping[str, Any], model_package_arn: str) -> dict[str, dict[str, Any]]:
    """`{operation: request}` of what puts a version behind the endpoint; `deploy` is the plan's.

    Model and endpoint config are named after their content (`<endpoint>-<10 hex digits>`): the same deployment has the
    same names, so a retry finds what is there already, and a config is never changed under its name. Tags are not
    content: another run that deploys the same version needs no other config.
    """
    model, config, endpoint = (copy.deepcopy(deploy[part]) for part in ("model", "endpoint_config", "endpoint"))
    name = endpoint["EndpointName"]
    model["PrimaryContainer"] = {"ModelPackageName": model_package_arn}
    model["ModelName"] = _content_name(name, model)
    for variant in config["ProductionVariants"]:
        variant["ModelName"] = model["ModelName"]
    config["EndpointConfigName"] = _content_name(name, config)
    endpoint["EndpointConfigName"] = config["EndpointConfigName"]
    return {"CreateModel": model, "CreateEndpointConfig": config, "CreateEndpoint": endpoint}


def _content_name(endpoint: str, request: Mapping[str, Any]) -> str:
    content = {key: value for key, value in request.items() if key != "Tags"}
    return f"{endpoint}-{fingerprint(content)[:10]}"


def _capture(plan: RunPlan) -> dict[str, Any]:
    """Data capture; without the header SageMaker writes even CSV and JSON as base64."""
    capture = plan.model.deploy.data_capture
    types = (*plan.model.registration.content_types, *plan.model.registration.response_types)
    config: dict[str, Any] = {
        "EnableCapture": capture.enabled,
        "InitialSamplingPercentage": capture.sampling_percentage,
        "DestinationS3Uri": plan.uri(f"{plan.model.model}/data-capture/"),
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": _of_kind(types, "csv", "text/csv"),
            "JsonContentTypes": _of_kind(types, "json", "application/json"),
        },
    }
    if plan.environment.kms_key_arn:
        config["KmsKeyId"] = plan.environment.kms_key_arn
    return config


def _of_kind(types: tuple[str, ...], kind: str, usual: str) -> list[str]:
    return sorted({usual, *(content_type for content_type in types if kind in content_type)})
