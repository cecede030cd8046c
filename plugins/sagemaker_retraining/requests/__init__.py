"""The requests of a run: one pure builder per API call, and their validation before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from sagemaker_retraining.plan import PlanDocument, RunPlan, ownership
from sagemaker_retraining.plan.document import (
    AutoscalingRequests,
    CleanupConfig,
    DataReadyConfig,
    TaskConfigs,
    VerifyConfig,
)
from sagemaker_retraining.requests.alarms import alarm_names
from sagemaker_retraining.requests.hosting import (
    VARIANT,
    DeploymentRequests,
    deploy_templates,
    deployment_requests,
    update_request,
)
from sagemaker_retraining.requests.processing import ARTIFACT_GONE, RAW_MANIFEST, evaluate_request, preprocess_request
from sagemaker_retraining.requests.registry import (
    RunResults,
    complete_package,
    group_request,
    metric_sources,
    package_request,
)
from sagemaker_retraining.requests.training import train_request
from sagemaker_retraining.requests.transform import TransformRequests, transform_requests, transform_templates
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


def build_requests(plan: RunPlan) -> PlanDocument:
    """`plan.json`: the facts of the run, and for each task of the DAG what it needs."""
    model = plan.model
    configs: TaskConfigs = {
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
    }
    if model.deploy.kind == "batch":
        configs["transform"] = transform_templates(plan)
    else:
        configs["deploy"] = deploy_templates(plan)
        configs["verify"] = _verify(plan)
        configs["cleanup"] = _cleanup(plan)
    # mypy merges no TypedDicts of which one has keys that need not be there.
    return cast("PlanDocument", {**plan.facts(), **configs})


def _verify(plan: RunPlan) -> VerifyConfig:
    verify, deploy = plan.model.verify, plan.model.deploy
    config: VerifyConfig = {
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


def _cleanup(plan: RunPlan) -> CleanupConfig:
    deploy = plan.model.deploy
    cleanup: CleanupConfig = {"endpoint": plan.endpoint, "keep": deploy.keep, "tags": ownership(plan.tags)}
    if deploy.alarms:
        cleanup["alarms"] = alarm_names(plan, VARIANT)
    return cleanup


def serve_requests(plan: PlanDocument, model_package_arn: str) -> list[tuple[str, str, Mapping[str, object]]]:
    """(service, operation, request) of all that puts a version to work."""
    if "transform" in plan:
        return [
            ("sagemaker", *pair) for pair in _by_operation(transform_requests(plan["transform"], model_package_arn))
        ]
    deploy = plan["deploy"]
    made = deployment_requests(deploy, model_package_arn, "champion")
    update = update_request(
        made["CreateEndpoint"]["EndpointName"],
        made["CreateEndpoint"]["EndpointConfigName"],
        deployment=deploy.get("deployment"),
        keep_instances="autoscaling" in deploy,
    )
    scaling = _by_operation(deploy["autoscaling"]) if "autoscaling" in deploy else []
    return [
        *(("sagemaker", *pair) for pair in _by_operation(made)),
        ("sagemaker", "UpdateEndpoint", update),
        *(("cloudwatch", "PutMetricAlarm", alarm) for alarm in deploy.get("alarms", [])),
        *(("application-autoscaling", *pair) for pair in scaling),
    ]


def _by_operation(
    requests: DeploymentRequests | TransformRequests | AutoscalingRequests,
) -> list[tuple[str, Mapping[str, object]]]:
    """(operation, request): of a TypedDict mypy knows its values one by one only."""
    return [(operation, cast("Mapping[str, object]", request)) for operation, request in requests.items()]


def _data_ready(plan: RunPlan) -> DataReadyConfig:
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
