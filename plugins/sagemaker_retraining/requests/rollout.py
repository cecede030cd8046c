"""DeploymentConfig of UpdateEndpoint: how the traffic moves, and what brings it back.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeploymentConfig.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sagemaker_retraining.config.serving import LONGEST_ROLLOUT_SECONDS, Rollout

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as sagemaker

# A roll-back brings the old instances back after the roll-out's own time; a serverless endpoint can take that long too.
MARGIN_SECONDS = 3600


def deployment_config(rollout: Rollout | None, alarms: Sequence[str]) -> sagemaker.DeploymentConfigTypeDef | None:
    """The roll-out of model.yaml; None where it says nothing and SageMaker moves all traffic at once."""
    if rollout is None:
        return None
    config: sagemaker.DeploymentConfigTypeDef = (
        {"RollingUpdatePolicy": _rolling(rollout)}
        if rollout.strategy == "rolling"
        else {"BlueGreenUpdatePolicy": _blue_green(rollout)}
    )
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config


def longest_seconds(config: sagemaker.DeploymentConfigUnionTypeDef | None) -> int:
    """When an update with this DeploymentConfig has ended, one way or the other."""
    policy: sagemaker.BlueGreenUpdatePolicyTypeDef | sagemaker.RollingUpdatePolicyTypeDef | None = None
    if config:
        policy = config.get("BlueGreenUpdatePolicy") or config.get("RollingUpdatePolicy")
    limit = policy.get("MaximumExecutionTimeoutInSeconds", LONGEST_ROLLOUT_SECONDS) if policy else 0
    return limit + MARGIN_SECONDS


def watched_alarms(config: sagemaker.DeploymentConfigUnionTypeDef | None) -> list[str]:
    """The alarms of a DeploymentConfig."""
    rollback = config.get("AutoRollbackConfiguration", {}) if config else {}
    return [alarm["AlarmName"] for alarm in rollback.get("Alarms", [])]


def _blue_green(rollout: Rollout) -> sagemaker.BlueGreenUpdatePolicyTypeDef:
    wait = rollout.wait_seconds
    routing: sagemaker.TrafficRoutingConfigTypeDef = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    if rollout.strategy == "canary":
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": wait, "CanarySize": _size(rollout)}
    elif rollout.strategy == "linear":
        routing = {"Type": "LINEAR", "WaitIntervalInSeconds": wait, "LinearStepSize": _size(rollout)}
    return {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": rollout.termination_wait_seconds,
        "MaximumExecutionTimeoutInSeconds": rollout.timeout_seconds,
    }


def _rolling(rollout: Rollout) -> sagemaker.RollingUpdatePolicyTypeDef:
    return {
        "MaximumBatchSize": _size(rollout),
        "WaitIntervalInSeconds": rollout.wait_seconds,
        "MaximumExecutionTimeoutInSeconds": rollout.timeout_seconds,
    }


def _size(rollout: Rollout) -> sagemaker.CapacitySizeTypeDef:
    return {"Type": "CAPACITY_PERCENT", "Value": rollout.step_percent}
