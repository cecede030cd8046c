"""Endpoint configs, models and alarms that earlier deployments left behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.endpoints.state import is_changing, model_names, pending_config
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.alarms import METRIC_NAMES
from sagemaker_retraining.requests.hosting import is_content_name
from sagemaker_retraining.requests.rollout import watched_alarms

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sagemaker_retraining.plan.document import CleanupConfig
    from sagemaker_retraining.xcom import CleanupResult

NEW = timedelta(hours=1)
"""An alarm is made right before the update that names it, which DescribeEndpoint names only after the update's end."""


class CleanUpOperator(AwsBaseOperator[RetrainingHook]):
    """Keeps the newest `keep` endpoint configs and models of an endpoint, and all that are in use; deletes the rest.

    Only what has a name that deployments make (`<endpoint>-<10 hex digits>`) and the tags of this model and environment
    is touched. In use is what any endpoint of the account serves or is on its way to, and the models of these configs
    and of those that stay. Alarms that were made for an earlier roll-out go too, at rest and when they are not new:
    another run may be about to use them.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(self, *, config: CleanupConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config

    def execute(self, context: Context) -> CleanupResult:
        """Configs first: what they refer to must outlive them."""
        keep = self.config["keep"]
        configs = self.ours("list_endpoint_configs", "EndpointConfig")
        models = self.ours("list_models", "Model")
        used = self.configs_in_use() if configs[keep:] or models[keep:] else set()
        old = (name for name in configs[keep:] if name not in used and not self.in_use_now(name))
        gone = self.delete(old, "endpoint_config", "EndpointConfigName")
        left = {name for name in configs if name not in gone}
        served = self.models_of(left | used) if models[keep:] else set()
        unused = (name for name in models[keep:] if name not in served)
        result: CleanupResult = {
            "configs": gone,
            "models": self.delete(unused, "model", "ModelName"),
            "alarms": self.delete_alarms(),
        }
        self.log.info("Deleted %s", result)
        return result

    def ours(self, method: str, noun: str) -> list[str]:
        """Names of the endpoint's resources of a kind, newest first."""
        api: Any = self.hook.api  # the paginators of two operations have two types
        pages = api.get_paginator(method).paginate(
            NameContains=self.config["endpoint"], SortBy="CreationTime", SortOrder="Descending"
        )
        found = (item for page in pages for item in page[f"{noun}s"])
        return [
            item[f"{noun}Name"]
            for item in found
            if is_content_name(item[f"{noun}Name"], self.config["endpoint"]) and self.tagged(item[f"{noun}Arn"])
        ]

    def tagged(self, arn: str) -> bool:
        """Whether a resource has the tags of this model and environment."""
        tags = self.hook.tags(arn)
        return all(tags.get(key) == value for key, value in self.config["tags"].items())

    def configs_in_use(self) -> set[str]:
        """What any endpoint serves or is on its way to: a person may have put one of ours behind another endpoint."""
        used: set[str] = set()
        for page in self.hook.api.get_paginator("list_endpoints").paginate():
            for summary in page["Endpoints"]:
                used |= self.configs_of(summary["EndpointName"])
        return used

    def configs_of(self, endpoint: str) -> set[str]:
        """What one endpoint serves or is on its way to."""
        description = self.hook.endpoint_or_none(endpoint)
        if description is None:
            return set()
        return {description["EndpointConfigName"], pending_config(description) or description["EndpointConfigName"]}

    def in_use_now(self, name: str) -> bool:
        """Asked right before a config is deleted: an endpoint whose config is gone takes no update any more."""
        return name in self.configs_of(self.config["endpoint"])

    def models_of(self, configs: set[str]) -> set[str]:
        """The models that these configs refer to."""
        return {model for name in configs for model in model_names(self.hook, name).values()}

    def delete(self, names: Iterator[str], noun: str, key: str) -> list[str]:
        """Delete each; it is no error when another run has deleted one meanwhile."""
        method: Callable[..., Any] = getattr(self.hook.api, f"delete_{noun}")
        deleted = []
        for name in names:
            try:
                method(**{key: name})
            except ClientError as error:
                if not registry.is_not_found(error):
                    raise
            deleted.append(name)
        return deleted

    def delete_alarms(self) -> list[str]:
        """Alarms of earlier roll-outs; those of the newest stay, it is what the endpoint was last updated with.

        None while the endpoint changes: what that roll-out watches is in LastDeploymentConfig only after it.
        """
        if "alarms" not in self.config:
            return []
        endpoint = self.config["endpoint"]
        client = self.hook.client("cloudwatch")
        kinds = "|".join(name.replace("_", "-") for name in METRIC_NAMES)
        ours = re.compile(rf"{re.escape(endpoint)}-(?:{kinds})-[0-9a-f]{{10}}")
        description = self.hook.endpoint_or_none(endpoint)
        if description and is_changing(description):
            return []
        last: Any = description.get("LastDeploymentConfig") if description else None
        keep = {*self.config["alarms"], *watched_alarms(last)}
        pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{endpoint}-")
        since = datetime.now(UTC) - NEW
        found = [alarm for page in pages for alarm in page["MetricAlarms"]]
        settled = [alarm["AlarmName"] for alarm in found if alarm["AlarmConfigurationUpdatedTimestamp"] < since]
        old = [name for name in settled if ours.fullmatch(name) and name not in keep]
        for start in range(0, len(old), 100):
            client.delete_alarms(AlarmNames=old[start : start + 100])
        return old
