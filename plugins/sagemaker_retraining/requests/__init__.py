"""The requests of a run: one pure builder per API call, and their validation before anything is sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sagemaker_retraining.plan import RunPlan
from sagemaker_retraining.requests.hosting import deploy_templates, deployment_requests
from sagemaker_retraining.requests.processing import RAW_MANIFEST, evaluate_request, preprocess_request
from sagemaker_retraining.requests.registry import (
    RunResults,
    complete_package,
    group_request,
    metric_sources,
    package_request,
)
from sagemaker_retraining.requests.training import train_request
from sagemaker_retraining.requests.validation import RequestError, validate

__all__ = [
    "RequestError",
    "RunResults",
    "build_requests",
    "complete_package",
    "deployment_requests",
    "metric_sources",
    "validate",
]


def build_requests(plan: RunPlan) -> dict[str, Any]:
    """`plan.json`: what `RunPlan.to_dict` gives, and for each task of the DAG what it needs, ready for JSON."""
    model = plan.model
    endpoint = plan.endpoint
    return {
        **plan.to_dict(),
        "data_ready": _data_ready(plan),
        "preprocess": preprocess_request(plan),
        "train": train_request(plan),
        "evaluate": evaluate_request(plan),
        "quality_gate": {
            "problem": model.problem,
            "minimum": dict(model.quality_gate.minimum),
            "maximum": dict(model.quality_gate.maximum),
            "metric": model.gate_metric,
            "direction": model.gate_direction,
            "require": model.quality_gate.require,
            "tolerance": model.quality_gate.tolerance,
            "on_failure": model.quality_gate.on_failure,
            "champion": plan.champion.arn if plan.champion else None,
            "champion_error": "its model.tar.gz is gone" if plan.champion and not plan.champion.artifact else None,
        },
        "register": {"group": group_request(plan), "package": package_request(plan)},
        "deploy": deploy_templates(plan),
        "verify": {
            "endpoint": endpoint,
            "tolerance": model.verify.tolerance,
        },
    }


def _data_ready(plan: RunPlan) -> dict[str, Any]:
    """Where the raw months are; `history_months` is None for all. The manifest goes into the run's own bucket."""
    raw = urlsplit(plan.raw_uri)
    prefix = raw.path.lstrip("/")
    history = plan.model.data.history_months
    return {
        "bucket": raw.netloc,
        "raw_prefix": prefix,
        "period": str(plan.period),
        "success_key": f"{prefix}period={plan.period}/_SUCCESS",
        "history_months": None if history == "all" else history,
        "manifest_uri": plan.run_uri(RAW_MANIFEST),
    }
