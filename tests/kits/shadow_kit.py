"""Endpoints with a shadow variant."""

from __future__ import annotations

from typing import Any

from tests.kits.endpoint_kit import Kit


def shadow_config(kit: Kit, name: str, weight: float | None = None, *, capture: Any = None, **model: Any) -> str:
    """An endpoint config: variant Main multiplies by 2, its shadow is the model described."""
    kit.config(f"{name}-main")
    kit.config(f"{name}-shadow", **{"factor": 5, **model})
    variants = [
        {"VariantName": variant, "ModelName": model_name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        for variant, model_name in (("Main", f"{name}-main"), ("Shadow", f"{name}-shadow"))
    ]
    if weight is not None:
        variants[1]["InitialVariantWeight"] = weight
    kit.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=variants[:1],
        ShadowProductionVariants=variants[1:],
        **({"DataCaptureConfig": capture} if capture else {}),
    )
    return name
