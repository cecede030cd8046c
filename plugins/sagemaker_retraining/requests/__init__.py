"""The requests of a run: one pure builder per API call, and their validation before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker_retraining.plan import RunPlan, ownership
from sagemaker_retraining.requests.alarms import alarm_names
from sagemaker_retraining.requests.hosting import VARIANT, deploy_templates, deployment_requests, update_request
from sagemaker_retraining.requests.processing import ARTIFACT_GONE, RAW_MANIFEST, evaluate_request, preprocess_request
from sagemaker_retraining.requests.registry import (
    RunResults,
    complete_package,
    group_request,
    metric_sources,
    package_request,
)
from sagemaker_retraining.requests.training import train_request
from sagemaker_retraining.requests.transform import transform_requests, transform_templates
from sagemaker_retraining.requests.validation import RequestError, validate
from sagemaker_retraining.s3_uri import split_s3_uri

__all__ = [
    "RequestError",
    "RunResults",
    "build_requests",
    "complete_package",
    "deployment_requests",
    "metric_sources",
    "serve_requests",
    "transform_requests",
    "update_request",
    "validate",
]


def build_requests(plan: RunPlan) -> dict[str, Any]:
    """`plan.json`: the facts of the run, and for each task of the DAG what it needs."""
    model = plan.model
    return {
        **plan.facts(),
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
            "kms_key_arn": plan.environment.output_kms_key_arn,
            "champion": plan.champion.arn if plan.champion else None,
            "champion_error": ARTIFACT_GONE if plan.champion and not plan.champion.artifact else None,
        },
        "register": {"group": group_request(plan), "package": package_request(plan)},
        **_serve(plan),
    }


def _serve(plan: RunPlan) -> dict[str, Any]:
    """What the tasks after the approval need."""
    model = plan.model
    if model.deploy.kind == "batch":
        return {"transform": transform_templates(plan)}
    return {
        "deploy": deploy_templates(plan),
        "verify": _verify(plan),
        "cleanup": _cleanup(plan),
    }


def _verify(plan: RunPlan) -> dict[str, Any]:
    verify, deploy = plan.model.verify, plan.model.deploy
    config: dict[str, Any] = {
        "endpoint": plan.endpoint,
        "tolerance": verify.tolerance,
        "on_failure": verify.on_failure,
        "kms_key_arn": plan.environment.output_kms_key_arn,
    }
    if deploy.asynchronous:
        config["asynchronous_uri"] = plan.run_uri("verify/requests/")
    if deploy.challenger and deploy.challenger.is_compared:
        config["shadow"] = {
            "report_after_hours": deploy.challenger.report_after_hours,
            "report_uri": plan.run_uri("shadow/"),
        }
    return config


def _cleanup(plan: RunPlan) -> dict[str, Any]:
    deploy = plan.model.deploy
    cleanup: dict[str, Any] = {"endpoint": plan.endpoint, "keep": deploy.keep, "tags": ownership(plan.tags)}
    if deploy.alarms:
        cleanup["alarms"] = alarm_names(plan, VARIANT)
    return cleanup


def serve_requests(requests: Mapping[str, Any], model_package_arn: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(service, operation, request) of all that puts a version to work; `requests` is a plan's."""
    if "transform" in requests:
        return [("sagemaker", *pair) for pair in transform_requests(requests["transform"], model_package_arn).items()]
    deploy = requests["deploy"]
    made = deployment_requests(deploy, model_package_arn, "champion")
    update = update_request(
        made["CreateEndpoint"]["EndpointName"],
        made["CreateEndpoint"]["EndpointConfigName"],
        deployment=deploy.get("deployment"),
        keep_instances="autoscaling" in deploy,
    )
    return [
        *(("sagemaker", *pair) for pair in {**made, "UpdateEndpoint": update}.items()),
        *(("cloudwatch", "PutMetricAlarm", alarm) for alarm in deploy.get("alarms", [])),
        *(("application-autoscaling", *pair) for pair in deploy.get("autoscaling", {}).items()),
    ]


def _data_ready(plan: RunPlan) -> dict[str, Any]:
    """Where the raw months are; `history_months` is None for all. The manifest goes into the run's own bucket."""
    bucket, prefix = split_s3_uri(plan.raw_uri)
    history = plan.model.data.history_months
    return {
        "bucket": bucket,
        "raw_prefix": prefix,
        "period": str(plan.period),
        "success_key": f"{prefix}period={plan.period}/_SUCCESS",
        "history_months": None if history == "all" else history,
        "manifest_uri": plan.run_uri(RAW_MANIFEST),
        "kms_key_arn": plan.environment.output_kms_key_arn,
    }
