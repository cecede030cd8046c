"""CreateModel, CreateEndpointConfig, CreateEndpoint and UpdateEndpoint.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from sagemaker_retraining.config.serving import Asynchronous, Serverless
from sagemaker_retraining.plan import RunPlan, fingerprint
from sagemaker_retraining.requests.alarms import alarm_names, alarm_requests
from sagemaker_retraining.requests.autoscaling import autoscaling_requests
from sagemaker_retraining.requests.processing import vpc_config
from sagemaker_retraining.requests.rollout import deployment_config

VARIANT = "AllTraffic"
CHALLENGER = "Challenger"
_DIGITS = 10


def deploy_templates(plan: RunPlan) -> dict[str, Any]:
    """What a deployment needs, less what follows from the approved version (`deployment_requests`).

    `{model, endpoint_config, endpoint}`, and where model.yaml says so `deployment` (DeploymentConfig), `alarms`,
    `autoscaling` (`{operation: request}`) and `challenger` (`{as, percent}`).
    """
    templates: dict[str, Any] = {
        "model": model_template(plan),
        "endpoint_config": _config(plan),
        "endpoint": {"EndpointName": plan.endpoint, "Tags": plan.resource_tags},
    }
    deploy = plan.model.deploy
    parts: dict[str, Any] = {
        "deployment": deployment_config(deploy.rollout, alarm_names(plan, VARIANT)),
        "alarms": alarm_requests(plan, VARIANT),
        "autoscaling": autoscaling_requests(plan, VARIANT),
        "challenger": deploy.challenger and {"as": deploy.challenger.mode, "percent": deploy.challenger.percent},
    }
    return {**templates, **{name: part for name, part in parts.items() if part}}


def without_rollout(deploy: Mapping[str, Any]) -> dict[str, Any]:
    """The same deployment at once and for all traffic: the way back must not wait, nor be stopped by an alarm."""
    return {name: part for name, part in deploy.items() if name not in {"deployment", "alarms", "challenger"}}


def deployment_requests(
    deploy: Mapping[str, Any], model_package_arn: str, champion_model: str | None = None
) -> dict[str, dict[str, Any]]:
    """`{operation: request}` of what puts a version behind the endpoint; `deploy` is the plan's.

    Model and endpoint config are named after their content (`<endpoint>-<10 hex digits>`): the same deployment has the
    same names, so a retry finds what is there already, and a config is never changed under its name. Tags are not
    content: another run that deploys the same version needs no other config.
    A challenger goes beside `champion_model`, the model that serves; without one it gets all traffic.
    """
    model, config, endpoint = (copy.deepcopy(deploy[part]) for part in ("model", "endpoint_config", "endpoint"))
    name = endpoint["EndpointName"]
    model["PrimaryContainer"] = {"ModelPackageName": model_package_arn}
    model["ModelName"] = content_name(name, model)
    for variant in config["ProductionVariants"]:
        variant["ModelName"] = model["ModelName"]
    if "challenger" in deploy and champion_model not in {None, model["ModelName"]}:
        _put_beside(config, str(champion_model), deploy["challenger"])
    config["EndpointConfigName"] = content_name(name, config)
    endpoint["EndpointConfigName"] = config["EndpointConfigName"]
    return {"CreateModel": model, "CreateEndpointConfig": config, "CreateEndpoint": endpoint}


def update_request(
    endpoint: str, config: str, *, deployment: Mapping[str, Any] | None = None, keep_instances: bool = False
) -> dict[str, Any]:
    """UpdateEndpoint. `keep_instances`: the number autoscaling has come to stays.

    RetainAllVariantProperties alone would also keep the old weights, and the old data capture instead of the config's.
    """
    request: dict[str, Any] = {"EndpointName": endpoint, "EndpointConfigName": config}
    if keep_instances:
        request["RetainAllVariantProperties"] = True
        request["ExcludeRetainedVariantProperties"] = [
            {"VariantPropertyType": "DesiredWeight"},
            {"VariantPropertyType": "DataCaptureConfig"},
        ]
    if deployment:
        request["DeploymentConfig"] = dict(deployment)
    return request


def model_template(plan: RunPlan) -> dict[str, Any]:
    """CreateModel without its name and version."""
    model: dict[str, Any] = {"ExecutionRoleArn": plan.environment.hosting_role_arn, "Tags": plan.resource_tags}
    if vpc := vpc_config(plan):
        model["VpcConfig"] = vpc
    if plan.environment.network_isolation:
        model["EnableNetworkIsolation"] = True
    return model


def content_name(prefix: str, request: Mapping[str, Any]) -> str:
    """`<prefix>-<10 hex digits>` of everything in the request but its tags."""
    content = {key: value for key, value in request.items() if key != "Tags"}
    return f"{prefix}-{fingerprint(content)[:_DIGITS]}"


def is_content_name(name: str, prefix: str) -> bool:
    """Whether `content_name` made it: `demo-eu-<hash>` is not one of `demo`."""
    return re.fullmatch(rf"{re.escape(prefix)}-[0-9a-f]{{{_DIGITS}}}", name) is not None


def _config(plan: RunPlan) -> dict[str, Any]:
    deploy = plan.model.deploy
    variant: dict[str, Any] = {"VariantName": VARIANT, "InitialVariantWeight": 1.0}
    config: dict[str, Any] = {"ProductionVariants": [variant]}
    if deploy.serverless:
        variant["ServerlessConfig"] = _serverless(deploy.serverless)
    else:
        variant |= {"InstanceType": deploy.instance_type, "InitialInstanceCount": deploy.instance_count}
        if plan.environment.volume_kms_key_arn:
            # Of the instances' disks; taken for local ones too, which it does not encrypt.
            config["KmsKeyId"] = plan.environment.volume_kms_key_arn
    if deploy.asynchronous:
        config["AsyncInferenceConfig"] = _asynchronous(plan, deploy.asynchronous)
    if deploy.real_time:
        config["DataCaptureConfig"] = _capture(plan)
    return {**config, "Tags": plan.resource_tags}


def _put_beside(config: dict[str, Any], champion_model: str, challenger: Mapping[str, Any]) -> None:
    """Champion and challenger of one config. A shadow's weight is the share of the requests it gets copies of."""
    [champion] = config["ProductionVariants"]
    new = {**champion, "VariantName": CHALLENGER, "InitialVariantWeight": challenger["percent"] / 100}
    champion["ModelName"] = champion_model
    if challenger["as"] == "shadow":
        config["ShadowProductionVariants"] = [new]
    else:
        champion["InitialVariantWeight"] = (100 - challenger["percent"]) / 100
        config["ProductionVariants"].append(new)


def _serverless(serverless: Serverless) -> dict[str, Any]:
    config = {"MemorySizeInMB": serverless.memory_mb, "MaxConcurrency": serverless.max_concurrency}
    if serverless.provisioned_concurrency:
        config["ProvisionedConcurrency"] = serverless.provisioned_concurrency
    return config


def _asynchronous(plan: RunPlan, asynchronous: Asynchronous) -> dict[str, Any]:
    prefix = f"{plan.model.model}/asynchronous"
    output: dict[str, Any] = {
        "S3OutputPath": plan.uri(f"{prefix}/answers/"),
        "S3FailurePath": plan.uri(f"{prefix}/failures/"),
    }
    if plan.environment.output_kms_key_arn:
        output["KmsKeyId"] = plan.environment.output_kms_key_arn
    topics = {"SuccessTopic": asynchronous.success_topic_arn, "ErrorTopic": asynchronous.error_topic_arn}
    if given := {name: arn for name, arn in topics.items() if arn}:
        output["NotificationConfig"] = given
    config: dict[str, Any] = {"OutputConfig": output}
    if asynchronous.max_concurrent_invocations:
        config["ClientConfig"] = {
            "MaxConcurrentInvocationsPerInstance": asynchronous.max_concurrent_invocations,
        }
    return config


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
    if plan.environment.capture_kms_key_arn:
        config["KmsKeyId"] = plan.environment.capture_kms_key_arn
    return config


def _of_kind(types: tuple[str, ...], kind: str, usual: str) -> list[str]:
    return sorted({usual, *(content_type for content_type in types if kind in content_type)})
