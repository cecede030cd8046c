"""Deployment behind an endpoint: done when the endpoint serves what was asked for, not before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.decision import APPROVED, decision_of
from sagemaker_retraining.requests.hosting import deployment_requests
from sagemaker_retraining.requests.validation import validate
from sagemaker_retraining.triggers.endpoint import MOVING, EndpointTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

DEADLINE_SECONDS = 3600


class DeployEndpointOperator(AwsBaseOperator[RetrainingHook]):
    """Brings an endpoint to the wanted version: describe, then create or update, then compare.

    `config` is the plan's `deploy`. Model and endpoint configuration are named after their content and created when
    absent, so that a retry after any partial step goes on. An update that SageMaker rolled back leaves the endpoint
    InService on its old configuration: that is a failed task here, with SageMaker's reason.
    Returns `{endpoint, endpoint_config, model, status, previous_endpoint_config}`.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config", "model_package_arn")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(self, *, config: dict[str, Any], model_package_arn: str, poll_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.model_package_arn = model_package_arn
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> dict[str, Any]:
        """Make what is missing, start the change, wait deferred."""
        requests = self.requests()
        for operation, request in requests.items():
            validate(operation, request)
        endpoint = requests["CreateEndpoint"]["EndpointName"]
        wanted = requests["CreateEndpoint"]["EndpointConfigName"]
        current = self.hook.describe_or_none("describe_endpoint", EndpointName=endpoint)
        previous = current["EndpointConfigName"] if current else None
        if current and current["EndpointStatus"] in MOVING:
            self.wait(previous, start_over=True)
        self.require_approval()
        self.create_missing(requests)
        if current is None:
            self.log.info("Creating endpoint %s on %s", endpoint, wanted)
            started = self.hook.create_unless_there("create_endpoint", requests["CreateEndpoint"])
        elif previous == wanted and current["EndpointStatus"] == "InService":
            self.log.info("Endpoint %s serves %s already", endpoint, wanted)
            return self.result(current, previous)
        else:
            self.log.info("Updating endpoint %s from %s to %s", endpoint, previous, wanted)
            started = self.update(endpoint, wanted)
        self.wait(previous, start_over=not started)

    def execute_complete(
        self, context: Context, event: dict[str, Any], previous: str | None, start_over: bool
    ) -> dict[str, Any]:
        """The endpoint came to rest: on the wanted configuration, or not."""
        requests = self.requests()
        endpoint = requests["CreateEndpoint"]["EndpointName"]
        wanted = requests["CreateEndpoint"]["EndpointConfigName"]
        description = self.hook.api.describe_endpoint(EndpointName=endpoint)
        if event["status"] == "timeout":
            raise AirflowException(f"{endpoint} is still {description['EndpointStatus']} after {DEADLINE_SECONDS} s")
        if start_over and description["EndpointConfigName"] != wanted:
            return self.execute(context)  # another change was under way; now ours
        if description["EndpointStatus"] != "InService" or description["EndpointConfigName"] != wanted:
            raise AirflowException(
                f"{endpoint} is {description['EndpointStatus']} on {description['EndpointConfigName']}, "
                f"wanted {wanted}: {description.get('FailureReason', 'SageMaker gives no reason')}"
            )
        return self.result(description, previous)

    def require_approval(self) -> None:
        """The last look before production: whatever came before, only what is Approved now goes there."""
        decision = decision_of(registry.describe(self.hook.api, self.model_package_arn))
        if decision.status != APPROVED:
            raise AirflowFailException(f"{decision}: only an Approved version is deployed; the endpoint stays as it is")

    def requests(self) -> dict[str, dict[str, Any]]:
        """`{operation: request}` of everything the deployment needs."""
        return deployment_requests(self.config, self.model_package_arn)

    def create_missing(self, requests: dict[str, dict[str, Any]]) -> None:
        """Model and endpoint configuration; their names are their content, so one that exists is the right one."""
        self.hook.create_unless_there("create_model", requests["CreateModel"])
        self.hook.create_unless_there("create_endpoint_config", requests["CreateEndpointConfig"])

    def update(self, endpoint: str, wanted: str) -> bool:
        """False when a change is under way: another run's, or this one's, whose answer was lost."""
        try:
            self.hook.api.update_endpoint(EndpointName=endpoint, EndpointConfigName=wanted)
        except ClientError as error:
            if "in-progress" not in error.response["Error"]["Message"]:
                raise
            return False
        return True

    def wait(self, previous: str | None, *, start_over: bool) -> NoReturn:
        """Defer until the endpoint is at rest."""
        self.defer(
            trigger=EndpointTrigger(
                endpoint=self.config["endpoint"]["EndpointName"],
                poll_seconds=self.poll_seconds,
                since=time.time(),
                deadline=time.time() + DEADLINE_SECONDS,
                hook_parameters=self._hook_parameters,
            ),
            method_name="execute_complete",
            kwargs={"previous": previous, "start_over": start_over},
        )

    def result(self, description: dict[str, Any], previous: str | None) -> dict[str, Any]:
        """The XCom."""
        return {
            "endpoint": description["EndpointName"],
            "endpoint_config": description["EndpointConfigName"],
            "model": self.requests()["CreateModel"]["ModelName"],
            "status": description["EndpointStatus"],
            "previous_endpoint_config": previous,
        }
