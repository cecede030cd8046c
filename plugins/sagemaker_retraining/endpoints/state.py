"""What an endpoint serves and is on its way to serve, as SageMaker describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.hosting import CHALLENGER, VARIANT
from sagemaker_retraining.triggers.endpoint import MOVING

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import ProductionVariantOutputTypeDef

    from sagemaker_retraining.described import DescribedEndpoint
    from sagemaker_retraining.plan.document import EndpointConfigTemplate

SCALING = frozenset({"Updating", "SystemUpdating"})
"""Without a PendingDeploymentSummary, which only a new config has: autoscaling's and AWS's own changes, which end.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"""


def pending_config(description: DescribedEndpoint) -> str | None:
    """The config an endpoint is on its way to; its own while it only scales or is patched, None when it rests."""
    if summary := description.get("PendingDeploymentSummary"):
        return summary["EndpointConfigName"]
    return description["EndpointConfigName"] if description["EndpointStatus"] in {"Creating", *SCALING} else None


def serves(description: DescribedEndpoint, config: str) -> bool:
    """Whether this config answers and nothing is under way to replace it: the endpoint rests, or only scales."""
    resting = description["EndpointStatus"] in {"InService", *SCALING}
    return resting and description["EndpointConfigName"] == config and not is_changing(description)


def is_changing(description: DescribedEndpoint) -> bool:
    """Whether what the endpoint serves is under way to another config, or to none; not while it only scales."""
    scales = description["EndpointStatus"] in SCALING and not description.get("PendingDeploymentSummary")
    return description["EndpointStatus"] in MOVING and not scales


def status_text(description: DescribedEndpoint | None) -> str:
    """An endpoint's status and config, for a sentence."""
    return f"{description['EndpointStatus']} on {description['EndpointConfigName']}" if description else "gone"


def variants(hook: RetrainingHook, config_name: str) -> dict[str, ProductionVariantOutputTypeDef]:
    """The production variants of an endpoint config by name; none when it has been deleted."""
    config = hook.endpoint_config_or_none(config_name)
    return {variant["VariantName"]: variant for variant in config["ProductionVariants"]} if config else {}


def served_model(hook: RetrainingHook, config_name: str) -> str | None:
    """The model behind the main variant of a config, as opposed to a challenger."""
    found = variants(hook, config_name)
    main = found.get(VARIANT) or next(iter(found.values()), None)
    return main["ModelName"] if main else None


def challenger_model(hook: RetrainingHook, config_name: str) -> str | None:
    """The model of a config that stands beside the main variant's, in its shadow or with traffic of its own."""
    return model_names(hook, config_name).get(CHALLENGER)


def model_names(hook: RetrainingHook, config_name: str) -> dict[str, str]:
    """`{variant: model}` of a config, shadows too; none when it has been deleted."""
    config = hook.endpoint_config_or_none(config_name)
    if config is None:
        return {}
    found = (*config["ProductionVariants"], *config.get("ShadowProductionVariants", []))
    return {variant["VariantName"]: variant["ModelName"] for variant in found}


def version_arn(hook: RetrainingHook, model: str | None) -> str | None:
    """ARN of the version that a model was made from; None for one that is gone, or of no version."""
    found = hook.model_or_none(model) if model else None
    return found.get("PrimaryContainer", {}).get("ModelPackageName") if found else None


def check_capture(description: DescribedEndpoint, config: EndpointConfigTemplate) -> None:
    """Raise AirflowFailException when the endpoint does not capture what its config says."""
    wanted = config.get("DataCaptureConfig")
    if wanted is None:
        return
    found = description.get("DataCaptureConfig") or {}
    pairs = {
        "EnableCapture": wanted["EnableCapture"],
        "CurrentSamplingPercentage": wanted["InitialSamplingPercentage"],
        "DestinationS3Uri": wanted["DestinationS3Uri"],
    }
    if lost := [f"{key} is {found.get(key)}, not {value}" for key, value in pairs.items() if found.get(key) != value]:
        raise AirflowFailException(
            f"{description['EndpointName']} serves, but its data capture is not as wanted: {'; '.join(lost)}"
        )
