"""The plan of a deployment: everything needed to bring up an endpoint config, complete in itself.

Neither an update nor a restart depends on configs and models that were deleted since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NotRequired, TypedDict

from include.sagemaker_local.containers.model_server import ServingContainer

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as aws
    from mypy_boto3_sagemaker.type_defs import ProductionVariantOutputTypeDef as Variant


class Plan(TypedDict):
    """One deployment. Members that are not required are missing in plans that older versions stored."""

    Id: str
    EndpointConfigName: str
    ProductionVariants: list[Variant]
    ShadowProductionVariants: NotRequired[list[Variant]]
    Containers: dict[str, ServingContainer]
    """By the variant's name."""
    DataCaptureConfig: aws.DataCaptureConfigOutputTypeDef | None
    AsyncInferenceConfig: NotRequired[aws.AsyncInferenceConfigOutputTypeDef | None]
    DeploymentConfig: NotRequired[aws.DeploymentConfigOutputTypeDef | None]


def planned_variants(plan: Plan) -> list[Variant]:
    """The production variants and the shadow variants."""
    return [*plan["ProductionVariants"], *plan.get("ShadowProductionVariants", ())]


def instances_by_type(plans: Iterable[Plan]) -> Counter[str]:
    """How many instances of each type deployments have."""
    found: Counter[str] = Counter()
    for variant in (variant for plan in plans for variant in planned_variants(plan) if "InstanceType" in variant):
        found[variant["InstanceType"]] += variant["InitialInstanceCount"]
    return found


def is_serverless(plan: Plan) -> bool:
    """Whether any variant of a plan has no instances."""
    return any("ServerlessConfig" in variant for variant in plan["ProductionVariants"])
