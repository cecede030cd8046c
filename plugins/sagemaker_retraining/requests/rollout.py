"""DeploymentConfig of UpdateEndpoint: how the traffic moves, and what brings it back.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeploymentConfig.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sagemaker_retraining.config.serving import LONGEST_ROLLOUT_SECONDS, Rollout

# A roll-back brings the old instances back after the roll-out's own time; a serverless endpoint can take that long too.
MARGIN_SECONDS = 3600


def deployment_config(rollout: Rollout | None, alarms: Sequence[str]) -> dict[str, Any] | None:
    """The roll-out of model.yaml; None where it says nothing and SageMaker moves all traffic at once."""
    if rollout is None:
        return None
    config: dict[str, Any] = (
        {"RollingUpdatePolicy": _rolling(rollout)}
        if rollout.strategy == "rolling"
        else {"BlueGreenUpdatePolicy": _blue_green(rollout)}
    )
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config


def longest_seconds(config: Mapping[str, Any] | None) -> int:
    """When an update with this DeploymentConfig has ended, one way or the other."""
    policy: Mapping[str, Any] = next((part for key, part in (config or {}).items() if key.endswith("Policy")), {})
    limit = policy.get("MaximumExecutionTimeoutInSeconds", LONGEST_ROLLOUT_SECONDS if policy else 0)
    return int(limit) + MARGIN_SECONDS


def watched_alarms(config: Mapping[str, Any] | None) -> list[str]:
    """The alarms of a DeploymentConfig."""
    alarms = (config or {}).get("AutoRollbackConfiguration", {}).get("Alarms", [])
    return [alarm["AlarmName"] for alarm in alarms]


def _blue_green(rollout: Rollout) -> dict[str, Any]:
    routing: dict[str, Any] = {"Type": rollout.strategy.upper(), "WaitIntervalInSeconds": 0}
    if rollout.strategy != "all_at_once":
        routing["WaitIntervalInSeconds"] = rollout.wait_seconds
        routing["CanarySize" if rollout.strategy == "canary" else "LinearStepSize"] = _size(rollout)
    return {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": rollout.termination_wait_seconds,
        "MaximumExecutionTimeoutInSeconds": rollout.timeout_seconds,
    }


def _rolling(rollout: Rollout) -> dict[str, Any]:
    return {
        "MaximumBatchSize": _size(rollout),
        "WaitIntervalInSeconds": rollout.wait_seconds,
        "MaximumExecutionTimeoutInSeconds": rollout.timeout_seconds,
    }


def _size(rollout: Rollout) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": rollout.step_percent}
