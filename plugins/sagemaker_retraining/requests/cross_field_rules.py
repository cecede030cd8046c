"""Rules between fields that the service model does not hold; SageMaker checks them on its side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sagemaker_retraining.requests.model_card import card_problems

# A request of any operation, as unchecked as a user may have written it.
Request = Mapping[str, Any]
_Found = Iterator[tuple[str, str]]
_PROCESSING = "/opt/ml/processing/"


def cross_field_problems(operation: str, request: Mapping[str, object]) -> list[tuple[str, str]]:
    """(path, text) of every broken rule; a request that is malformed may hide some."""
    rule = _RULES.get(operation)
    try:
        return list(rule(request)) if rule else []
    except (AttributeError, KeyError, TypeError):
        return []  # of the wrong shape, which the walk through the service model reports


def _processing(request: Request) -> _Found:
    for key, name_key, s3_key, entries in (
        ("ProcessingInputs", "InputName", "S3Input", request.get("ProcessingInputs", [])),
        (
            "ProcessingOutputConfig.Outputs",
            "OutputName",
            "S3Output",
            request.get("ProcessingOutputConfig", {}).get("Outputs", []),
        ),
    ):
        yield from _unique(key, [entry[name_key] for entry in entries])
        for index, entry in enumerate(entries):
            local = entry.get(s3_key, {}).get("LocalPath")
            if local is not None and not local.startswith(_PROCESSING):
                yield f"{key}[{index}].{s3_key}.LocalPath", f"{local!r} must lie under {_PROCESSING}"
    sources = [entry.get("S3Input", {}) for entry in request.get("ProcessingInputs", [])]
    # AWS refuses that without saying why: https://github.com/aws/sagemaker-python-sdk/issues/4939
    yield from _unique(
        "ProcessingInputs LocalPath", [source["LocalPath"] for source in sources if "LocalPath" in source]
    )


def _training(request: Request) -> _Found:
    stopping = request.get("StoppingCondition", {})
    runtime, wait = stopping.get("MaxRuntimeInSeconds"), stopping.get("MaxWaitTimeInSeconds")
    spot = request.get("EnableManagedSpotTraining", False)
    path = "StoppingCondition.MaxWaitTimeInSeconds"
    if spot and (wait is None or (runtime is not None and wait < runtime)):
        yield (
            path,
            f"{wait} must be given with EnableManagedSpotTraining and be at least MaxRuntimeInSeconds ({runtime})",
        )
    if wait is not None and not spot:
        yield path, f"{wait} needs EnableManagedSpotTraining"
    resources = request.get("ResourceConfig", {})
    if "InstancePreferences" in resources and (spot or "InstanceType" in resources or "InstanceGroups" in resources):
        yield (
            "ResourceConfig.InstancePreferences",
            "excludes InstanceType, InstanceGroups and EnableManagedSpotTraining",
        )
    yield from _unique("InputDataConfig", [channel["ChannelName"] for channel in request.get("InputDataConfig", [])])


def _package(request: Request) -> _Found:
    if "ModelPackageGroupName" in request and request.get("Tags"):
        yield "Tags", "a version of a group takes no tags; put them on the group"
    if "ModelPackageGroupName" in request and "ModelPackageName" in request:
        yield "ModelPackageName", "excludes ModelPackageGroupName"
    for index, container in enumerate(request.get("InferenceSpecification", {}).get("Containers", [])):
        if "ModelDataUrl" in container and "ModelDataSource" in container:
            yield f"InferenceSpecification.Containers[{index}]", "give ModelDataUrl or ModelDataSource, not both"
    for text in card_problems(request.get("ModelCard", {}).get("ModelCardContent", "{}")):
        yield "ModelCard.ModelCardContent", text


def _model(request: Request) -> _Found:
    if ("PrimaryContainer" in request) == ("Containers" in request):
        yield "PrimaryContainer", "give PrimaryContainer or Containers, one of them"
    container = request.get("PrimaryContainer", {})
    if "PrimaryContainer" in request and "Image" not in container and "ModelPackageName" not in container:
        yield "PrimaryContainer", "needs Image or ModelPackageName"
    if "ModelPackageName" not in container and "ExecutionRoleArn" not in request:
        yield "ExecutionRoleArn", "is required"


def _endpoint_config(request: Request) -> _Found:
    variants, shadows = request.get("ProductionVariants", []), request.get("ShadowProductionVariants", [])
    yield from _unique("ProductionVariants", [variant["VariantName"] for variant in (*variants, *shadows)])
    if shadows and (len(shadows), len(variants)) != (1, 1):
        yield "ShadowProductionVariants", "needs one variant beside one production variant"
    for key, members in (("ProductionVariants", variants), ("ShadowProductionVariants", shadows)):
        for index, variant in enumerate(members):
            on_instances = "InstanceType" in variant and "InitialInstanceCount" in variant
            if on_instances + ("ServerlessConfig" in variant) + ("InstancePools" in variant) != 1:
                text = "give InstanceType with InitialInstanceCount, or ServerlessConfig, or InstancePools"
                yield f"{key}[{index}]", text
            if "ModelName" not in variant and "ExecutionRoleArn" not in request:
                yield f"{key}[{index}].ModelName", "is required"
    if any("ServerlessConfig" in variant for variant in variants):
        for name in ("DataCaptureConfig", "AsyncInferenceConfig", "ShadowProductionVariants"):
            if request.get(name):
                yield name, "excludes ServerlessConfig"


def _update_endpoint(request: Request) -> _Found:
    config = request.get("DeploymentConfig", {})
    if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
        yield "DeploymentConfig", "give BlueGreenUpdatePolicy or RollingUpdatePolicy, not both"
    if "ExcludeRetainedVariantProperties" in request and not request.get("RetainAllVariantProperties"):
        yield "ExcludeRetainedVariantProperties", "needs RetainAllVariantProperties"


def _unique(path: str, names: list[str]) -> _Found:
    for name, count in Counter(names).items():
        if count > 1:
            yield path, f"{name!r} is there {count} times"


_RULES: dict[str, Callable[[Request], _Found]] = {
    "CreateProcessingJob": _processing,
    "CreateTrainingJob": _training,
    "CreateModelPackage": _package,
    "CreateModel": _model,
    "CreateEndpointConfig": _endpoint_config,
    "UpdateEndpoint": _update_endpoint,
}
