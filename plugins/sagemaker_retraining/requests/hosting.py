"""CreateModel, CreateEndpointConfig, CreateEndpoint and UpdateEndpoint.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, cast

from sagemaker_retraining.config.serving import Asynchronous, Serverless
from sagemaker_retraining.plan import RunPlan, fingerprint
from sagemaker_retraining.plan.document import (
    ChallengerConfig,
    DeployConfig,
    EndpointConfigTemplate,
    EndpointTemplate,
    ModelTemplate,
)
from sagemaker_retraining.requests.alarms import alarm_names, alarm_requests
from sagemaker_retraining.requests.autoscaling import autoscaling_requests
from sagemaker_retraining.requests.processing import vpc_config
from sagemaker_retraining.requests.rollout import deployment_config

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as sagemaker
    from mypy_boto3_sagemaker.literals import ProductionVariantInstanceTypeType

VARIANT = "AllTraffic"
CHALLENGER = "Challenger"
_DIGITS = 10


class ModelRequest(ModelTemplate):
    """CreateModel of a version."""

    PrimaryContainer: sagemaker.ContainerDefinitionTypeDef
    ModelName: str


class EndpointConfigRequest(EndpointConfigTemplate):
    """CreateEndpointConfig."""

    EndpointConfigName: str


class EndpointRequest(EndpointTemplate):
    """CreateEndpoint."""

    EndpointConfigName: str


class DeploymentRequests(TypedDict):
    """What puts a version behind an endpoint, by operation."""

    CreateModel: ModelRequest
    CreateEndpointConfig: EndpointConfigRequest
    CreateEndpoint: EndpointRequest


def deploy_templates(plan: RunPlan) -> DeployConfig:
    """What a deployment needs, less what follows from the approved version (`deployment_requests`)."""
    deploy = plan.model.deploy
    config: DeployConfig = {
        "model": model_template(plan),
        "endpoint_config": _endpoint_config(plan),
        "endpoint": {"EndpointName": plan.endpoint, "Tags": plan.resource_tags},
    }
    if deployment := deployment_config(deploy.rollout, alarm_names(plan, VARIANT)):
        config["deployment"] = deployment
    if alarms := alarm_requests(plan, VARIANT):
        config["alarms"] = alarms
    if autoscaling := autoscaling_requests(plan, VARIANT):
        config["autoscaling"] = autoscaling
    if deploy.challenger:
        config["challenger"] = {"as": deploy.challenger.mode, "percent": deploy.challenger.percent}
    return config


def without_rollout(deploy: DeployConfig) -> DeployConfig:
    """The same deployment at once and for all traffic: the way back must not wait, nor be stopped by an alarm."""
    rest = {name: part for name, part in deploy.items() if name not in {"deployment", "alarms", "challenger"}}
    return cast("DeployConfig", rest)


def deployment_requests(
    deploy: DeployConfig, model_package_arn: str, champion_model: str | None = None
) -> DeploymentRequests:
    """What puts a version behind the endpoint; `deploy` is the plan's.

    Model and endpoint config are named after their content (`<endpoint>-<10 hex digits>`): the same deployment has the
    same names, so a retry finds what is there already, and a config is never changed under its name. Tags are not
    content: another run that deploys the same version needs no other config.
    A challenger goes beside `champion_model`, the model that serves; without one it gets all traffic.
    """
    endpoint = deploy["endpoint"]
    model = model_request(deploy["model"], endpoint["EndpointName"], model_package_arn)
    content = _with_models(deploy["endpoint_config"], model["ModelName"], champion_model, deploy.get("challenger"))
    name = content_name(endpoint["EndpointName"], content)
    return {
        "CreateModel": model,
        "CreateEndpointConfig": {**content, "EndpointConfigName": name},
        "CreateEndpoint": {**endpoint, "EndpointConfigName": name},
    }


def update_request(
    endpoint: str,
    config: str,
    *,
    deployment: sagemaker.DeploymentConfigTypeDef | None = None,
    keep_instances: bool = False,
) -> sagemaker.UpdateEndpointInputTypeDef:
    """UpdateEndpoint. `keep_instances`: the number autoscaling has come to stays.

    RetainAllVariantProperties alone would also keep the old weights, and the old data capture instead of the config's.
    """
    request: sagemaker.UpdateEndpointInputTypeDef = {"EndpointName": endpoint, "EndpointConfigName": config}
    if keep_instances:
        request["RetainAllVariantProperties"] = True
        request["ExcludeRetainedVariantProperties"] = [
            {"VariantPropertyType": "DesiredWeight"},
            {"VariantPropertyType": "DataCaptureConfig"},
        ]
    if deployment:
        request["DeploymentConfig"] = deployment
    return request


def model_template(plan: RunPlan) -> ModelTemplate:
    """CreateModel without its name and version."""
    model: ModelTemplate = {"ExecutionRoleArn": plan.environment.hosting_role_arn, "Tags": plan.resource_tags}
    if vpc := vpc_config(plan):
        model["VpcConfig"] = vpc
    if plan.environment.network_isolation:
        model["EnableNetworkIsolation"] = True
    return model


def model_request(template: ModelTemplate, prefix: str, model_package_arn: str) -> ModelRequest:
    """CreateModel of a version, with a name after its content."""
    container: sagemaker.ContainerDefinitionTypeDef = {"ModelPackageName": model_package_arn}
    name = content_name(prefix, {**template, "PrimaryContainer": container})
    return {**template, "PrimaryContainer": container, "ModelName": name}


def content_name(prefix: str, request: Mapping[str, object]) -> str:
    """`<prefix>-<10 hex digits>` of everything in the request but its tags."""
    content = {key: value for key, value in request.items() if key != "Tags"}
    return f"{prefix}-{fingerprint(content)[:_DIGITS]}"


def is_content_name(name: str, prefix: str) -> bool:
    """Whether `content_name` made it: `demo-eu-<hash>` is not one of `demo`."""
    return re.fullmatch(rf"{re.escape(prefix)}-[0-9a-f]{{{_DIGITS}}}", name) is not None


def _endpoint_config(plan: RunPlan) -> EndpointConfigTemplate:
    deploy = plan.model.deploy
    variant: sagemaker.ProductionVariantTypeDef = {"VariantName": VARIANT, "InitialVariantWeight": 1.0}
    config: EndpointConfigTemplate = {"ProductionVariants": [variant]}
    if deploy.serverless:
        variant["ServerlessConfig"] = _serverless(deploy.serverless)
    else:
        variant["InstanceType"] = cast("ProductionVariantInstanceTypeType", deploy.instance_type)
        variant["InitialInstanceCount"] = deploy.instance_count
        if plan.environment.volume_kms_key_arn:
            # Of the instances' disks; taken for local ones too, which it does not encrypt.
            config["KmsKeyId"] = plan.environment.volume_kms_key_arn
    if deploy.asynchronous:
        config["AsyncInferenceConfig"] = _asynchronous(plan, deploy.asynchronous)
    if deploy.real_time:
        config["DataCaptureConfig"] = _data_capture(plan)
    config["Tags"] = plan.resource_tags
    return config


def _with_models(
    template: EndpointConfigTemplate, model: str, champion_model: str | None, challenger: ChallengerConfig | None
) -> EndpointConfigTemplate:
    """With the model for all traffic, or as a challenger. A shadow's weight is its share of copies of the requests."""
    [variant] = template["ProductionVariants"]
    new: sagemaker.ProductionVariantTypeDef = {**variant, "ModelName": model}
    if challenger is None or champion_model in {None, model}:
        return {**template, "ProductionVariants": [new]}
    champion: sagemaker.ProductionVariantTypeDef = {**variant, "ModelName": str(champion_model)}
    new |= {"VariantName": CHALLENGER, "InitialVariantWeight": challenger["percent"] / 100}
    if challenger["as"] == "shadow":
        return {**template, "ProductionVariants": [champion], "ShadowProductionVariants": [new]}
    champion["InitialVariantWeight"] = (100 - challenger["percent"]) / 100
    return {**template, "ProductionVariants": [champion, new]}


def _serverless(serverless: Serverless) -> sagemaker.ProductionVariantServerlessConfigTypeDef:
    config: sagemaker.ProductionVariantServerlessConfigTypeDef = {
        "MemorySizeInMB": serverless.memory_mb,
        "MaxConcurrency": serverless.max_concurrency,
    }
    if serverless.provisioned_concurrency:
        config["ProvisionedConcurrency"] = serverless.provisioned_concurrency
    return config


def _asynchronous(plan: RunPlan, asynchronous: Asynchronous) -> sagemaker.AsyncInferenceConfigTypeDef:
    prefix = f"{plan.model.model}/asynchronous"
    output: sagemaker.AsyncInferenceOutputConfigTypeDef = {
        "S3OutputPath": plan.uri(f"{prefix}/answers/"),
        "S3FailurePath": plan.uri(f"{prefix}/failures/"),
    }
    if plan.environment.output_kms_key_arn:
        output["KmsKeyId"] = plan.environment.output_kms_key_arn
    topics: sagemaker.AsyncInferenceNotificationConfigTypeDef = {}
    if asynchronous.success_topic_arn:
        topics["SuccessTopic"] = asynchronous.success_topic_arn
    if asynchronous.error_topic_arn:
        topics["ErrorTopic"] = asynchronous.error_topic_arn
    if topics:
        output["NotificationConfig"] = topics
    config: sagemaker.AsyncInferenceConfigTypeDef = {"OutputConfig": output}
    if asynchronous.max_concurrent_invocations:
        config["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": asynchronous.max_concurrent_invocations}
    return config


def _data_capture(plan: RunPlan) -> sagemaker.DataCaptureConfigTypeDef:
    """Data capture; without the header SageMaker writes even CSV and JSON as base64."""
    capture = plan.model.deploy.data_capture
    types = (*plan.model.registration.content_types, *plan.model.registration.response_types)
    config: sagemaker.DataCaptureConfigTypeDef = {
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
