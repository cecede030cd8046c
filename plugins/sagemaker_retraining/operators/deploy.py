"""Deployment behind an endpoint: done when the endpoint serves what was asked for, not before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from sagemaker_retraining.config.serving import LONGEST_ROLLOUT_SECONDS
from sagemaker_retraining.endpoints.alarms import prepare_alarms
from sagemaker_retraining.endpoints.autoscaling import (
    AUTOSCALED,
    autoscaling_of,
    register_autoscaling,
    release_autoscaling,
    restore_autoscaling,
)
from sagemaker_retraining.endpoints.failure import log_tail, not_wanted, quota_explained
from sagemaker_retraining.endpoints.preconditions import (
    check_capture_bucket,
    check_owner,
    check_update,
    require_approved,
    require_newest,
)
from sagemaker_retraining.endpoints.state import check_capture, pending_config, served_model
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.requests.alarms import on_new_fleet
from sagemaker_retraining.requests.hosting import CHALLENGER, VARIANT, deployment_requests, update_request
from sagemaker_retraining.requests.rollout import MARGIN_SECONDS, longest_seconds
from sagemaker_retraining.requests.validation import RequestError, validate
from sagemaker_retraining.triggers.endpoint import MOVING, EndpointTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context
    from mypy_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef, DescribeModelPackageOutputTypeDef
    from pydantic import JsonValue

    from sagemaker_retraining.plan.document import DeployConfig
    from sagemaker_retraining.requests.hosting import DeploymentRequests
    from sagemaker_retraining.triggers.base import PollEvent
    from sagemaker_retraining.xcom import Autoscaling, DeployResult, DeployTarget

# What the task remembers across its tries: the config before its own, which the endpoint itself forgets, and its
# autoscaling, which may have to end for the update.
PREVIOUS, AUTOSCALING = "previous_endpoint_config", "previous_autoscaling"
# And the update that a try has begun and whose end no try has seen.
BEGUN = "update_begun"
# When the log of what is slow to start is looked at; most endpoints take three to eight minutes.
LOOK_SECONDS = 900
TRACEBACK = "Traceback (most recent call last)"


class DeployEndpointOperator(AwsBaseOperator[RetrainingHook]):
    """Brings an endpoint to the wanted version: describe, then create or update, then compare.

    Model and endpoint configuration are named after their content and created when absent, so that a retry after any
    partial step goes on. An update that SageMaker rolled back leaves the endpoint
    InService on its old configuration: that is a failed task here, with SageMaker's reason. What can be wrong is looked
    at before anything is made: the version, the endpoint's owner, the bucket of data capture, the alarms. A version
    newer than this one that serves is not replaced, by the promotion rule with the run's `replace_newer`;
    `going_back` is for a DAG in which a person names the version that is to serve.
    """

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config", "model_package_arn", "replace_newer")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(
        self,
        *,
        config: DeployConfig,
        model_package_arn: str,
        poll_seconds: float,
        replace_newer: bool | str = False,
        going_back: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.model_package_arn = model_package_arn
        self.poll_seconds = poll_seconds
        self.replace_newer = replace_newer
        self.going_back = going_back

    @property
    def endpoint(self) -> str:
        """Its name."""
        return self.config["endpoint"]["EndpointName"]

    def execute(self, context: Context) -> DeployResult:
        """Make what is missing, start the change, wait deferred."""
        package = require_approved(self.hook, self.model_package_arn)
        check_capture_bucket(self.hook, self.config["endpoint_config"])
        current = self.hook.endpoint_or_none(self.endpoint)
        if current:
            check_owner(self.hook, current, self.config["endpoint"].get("Tags", []))
        requests = self.requests(current)
        target = self.target(requests)
        wanted = target["endpoint_config"]
        if current and wanted not in {current["EndpointConfigName"], pending_config(current)}:
            self.require_newest(package, current)
            if current["EndpointStatus"] not in MOVING:
                check_update(self.hook, current, requests["CreateEndpointConfig"])
        previous = self.previous_config(context, current, wanted)
        if current and self.was_undone(context, current, wanted):
            raise self.undone(context, current, wanted, previous)
        if current is None:
            self.create_missing(requests)
            self.log.info("Creating endpoint %s on %s", self.endpoint, wanted)
            with quota_explained():
                ours = self.hook.create_unless_there("create_endpoint", requests["CreateEndpoint"])
        elif current["EndpointStatus"] == "Failed":
            raise not_wanted(self.hook, current, wanted, None)
        elif current["EndpointStatus"] in MOVING:
            ours = pending_config(current) == wanted
        elif current["EndpointConfigName"] == wanted and current["EndpointStatus"] == "InService":
            self.log.info("Endpoint %s serves %s already", self.endpoint, wanted)
            return self.finish(context, current, target, previous)
        else:
            ours = self.update(context, current, requests)
        self.wait(target, previous, start_over=not ours)

    def execute_complete(
        self,
        context: Context,
        event: PollEvent,
        *,
        target: DeployTarget,
        previous: str | None,
        start_over: bool,
        since: float | None = None,
    ) -> DeployResult:
        """The endpoint came to rest: on the wanted configuration, or not. `since`: what it waits for began then."""
        wanted = target["endpoint_config"]
        description = self.hook.endpoint_or_none(self.endpoint)
        if start_over and (description is None or description["EndpointConfigName"] != wanted):
            return self.execute(context)  # another change was under way; now ours
        if description is None:
            raise AirflowFailException(f"{self.endpoint} was deleted while this task waited for it")
        status = description["EndpointStatus"]
        if event["status"] == "timeout" and status in MOVING:
            if not self.is_early(since, start_over):
                raise AirflowException(f"{self.endpoint} is still {status} after {self.longest_wait(start_over)} s")
            self.look_at_start(description)
        if status in MOVING:  # since the trigger saw it rest: it scales, or somebody changes it
            self.wait(target, previous, start_over=start_over, since=since)
        if status != "InService" or description["EndpointConfigName"] != wanted:
            raise self.undone(context, description, wanted, previous)
        return self.finish(context, description, target, previous)

    def requests(self, current: DescribeEndpointOutputTypeDef | None) -> DeploymentRequests:
        """Everything the deployment needs, in full and valid."""
        beside = served_model(self.hook, current["EndpointConfigName"]) if current else None
        requests = deployment_requests(self.config, self.model_package_arn, beside)
        try:
            for operation, request in requests.items():
                validate(operation, cast("Mapping[str, object]", request))
        except RequestError as error:
            raise AirflowFailException(str(error)) from error
        return requests

    def target(self, requests: DeploymentRequests) -> DeployTarget:
        """Where the new version is when all is done."""
        config = requests["CreateEndpointConfig"]
        variants = (*config["ProductionVariants"], *config.get("ShadowProductionVariants", []))
        names = [variant["VariantName"] for variant in variants]
        return {
            "endpoint_config": config["EndpointConfigName"],
            "model": requests["CreateModel"]["ModelName"],
            "variant": CHALLENGER if CHALLENGER in names else VARIANT,
            "shadow": "ShadowProductionVariants" in config,
        }

    def previous_config(
        self, context: Context, current: DescribeEndpointOutputTypeDef | None, wanted: str
    ) -> str | None:
        """The config that served before this task's own, also when this try finds its own in service."""
        store = context["task_state_store"]
        if current is None:
            return None
        if current["EndpointConfigName"] != wanted:
            store.set(PREVIOUS, current["EndpointConfigName"])
        remembered = store.get(PREVIOUS)
        return str(remembered) if remembered else None

    def require_newest(
        self, package: DescribeModelPackageOutputTypeDef, current: DescribeEndpointOutputTypeDef
    ) -> None:
        """Nothing newer serves, unless a person goes back."""
        if not self.going_back:
            require_newest(self.hook, package, current, replace_newer=bool(self.replace_newer))

    def create_missing(self, requests: DeploymentRequests) -> None:
        """Model and endpoint configuration; their names are their content, so one that exists is the right one."""
        self.hook.create_unless_there("create_model", requests["CreateModel"])
        self.hook.create_unless_there("create_endpoint_config", requests["CreateEndpointConfig"])

    def update(self, context: Context, current: DescribeEndpointOutputTypeDef, requests: DeploymentRequests) -> bool:
        """Begin the update; False when another's is under way, or was since `current` was described."""
        wanted = requests["CreateEndpointConfig"]["EndpointConfigName"]
        rollout = on_new_fleet(self.config, wanted)
        prepare_alarms(self.hook, rollout)
        self.create_missing(requests)
        # UpdateEndpoint takes no condition: the last look stands as close to it as can be.
        require_approved(self.hook, self.model_package_arn)
        now = self.hook.endpoint_or_none(self.endpoint)
        if now is None or state_of(now) != state_of(current):
            return now is not None and pending_config(now) == wanted
        if scaling := autoscaling_of(self.hook, current):
            context["task_state_store"].set(AUTOSCALING, cast("JsonValue", scaling))
        instance_type = requests["CreateEndpointConfig"]["ProductionVariants"][0].get("InstanceType")
        keep = release_autoscaling(self.hook, current, instance_type, wanted="autoscaling" in self.config)
        request = update_request(self.endpoint, wanted, deployment=rollout.get("deployment"), keep_instances=keep)
        validate("UpdateEndpoint", request)
        self.log.info("Updating endpoint %s from %s to %s", self.endpoint, current["EndpointConfigName"], wanted)
        context["task_state_store"].set(BEGUN, self.attempts(context, wanted))
        with quota_explained():
            begun = self.hook.begin_update(request)
        if begun:
            return True
        now = self.hook.endpoint_or_none(self.endpoint)
        ours = now is not None and pending_config(now) == wanted
        if not ours:
            context["task_state_store"].set(BEGUN, "")
        return ours

    def attempts(self, context: Context, wanted: str) -> str:
        """What a try has in common with its automatic retries, but not with those after somebody cleared the task."""
        return f"{wanted} until try {context['ti'].max_tries}"

    def was_undone(self, context: Context, current: DescribeEndpointOutputTypeDef, wanted: str) -> bool:
        """Whether an earlier try's update is over without its having seen how, and something else serves.

        SageMaker or a person has undone it, and a retry by itself must not do it again.
        """
        begun = context["task_state_store"].get(BEGUN) == self.attempts(context, wanted)
        return begun and current["EndpointStatus"] not in MOVING and current["EndpointConfigName"] != wanted

    def undone(
        self, context: Context, description: DescribeEndpointOutputTypeDef, wanted: str, previous: str | None
    ) -> Exception:
        """The error of an update that has ended on another config; the next try may begin it again."""
        context["task_state_store"].set(BEGUN, "")
        self.put_autoscaling_back(context, description, previous)
        return not_wanted(self.hook, description, wanted, on_new_fleet(self.config, wanted).get("deployment"))

    def previous_autoscaling(self, context: Context) -> Autoscaling | None:
        """What scaled the endpoint before this task's update."""
        remembered = context["task_state_store"].get(AUTOSCALING)
        return cast("Autoscaling", remembered) if isinstance(remembered, dict) else None

    def put_autoscaling_back(
        self, context: Context, description: DescribeEndpointOutputTypeDef, previous: str | None
    ) -> None:
        """An update that SageMaker has undone must not leave what serves without its autoscaling."""
        scaling = self.previous_autoscaling(context)
        ended = AUTOSCALED not in self.hook.tags(description["EndpointArn"])
        if scaling and ended and state_of(description) == (previous, "InService"):
            restore_autoscaling(self.hook, description, scaling)

    def longest_wait(self, start_over: bool) -> int:
        """Seconds: the roll-out's own time, or the longest there is for another's."""
        if start_over:
            return LONGEST_ROLLOUT_SECONDS + MARGIN_SECONDS
        return longest_seconds(self.config.get("deployment"))

    def wait(
        self, target: DeployTarget, previous: str | None, *, start_over: bool, since: float | None = None
    ) -> NoReturn:
        """Defer until the endpoint is at rest; a first time only so long that a container that fails is seen early."""
        now = time.time()
        began = since or now
        early = began + LOOK_SECONDS
        deadline = began + self.longest_wait(start_over)
        self.defer(
            trigger=EndpointTrigger(
                endpoint=self.endpoint,
                poll_seconds=self.poll_seconds,
                since=began,
                deadline=early if now < early < deadline else deadline,
                hook_parameters=self._hook_parameters,
            ),
            method_name="execute_complete",
            kwargs={"target": target, "previous": previous, "start_over": start_over, "since": began},
        )

    def is_early(self, since: float | None, start_over: bool) -> bool:
        """Whether this is the first look at what takes long, and not the end of the wait."""
        return since is not None and time.time() < since + self.longest_wait(start_over)

    def look_at_start(self, description: DescribeEndpointOutputTypeDef) -> None:
        """Raise AirflowFailException when the container of a new endpoint fails again and again.

        SageMaker starts it anew for up to an hour before the endpoint is Failed, and deletes no endpoint before.
        """
        log = log_tail(self.hook, self.endpoint)
        if description["EndpointStatus"] == "Creating" and TRACEBACK in log:
            raise AirflowFailException(
                f"{self.endpoint} is Creating since {LOOK_SECONDS} s, and its container fails. SageMaker starts it "
                f"again for up to an hour; until the endpoint is Failed it can neither be updated nor deleted, so its "
                f"name is blocked. Correct the model, delete the endpoint as soon as it is Failed (`aws sagemaker "
                f"delete-endpoint --endpoint-name {self.endpoint}`) and clear this task; or choose another "
                f"deploy.endpoint now{log}"
            )
        self.log.warning("%s is %s since %s s%s", self.endpoint, description["EndpointStatus"], LOOK_SECONDS, log)

    def finish(
        self, context: Context, description: DescribeEndpointOutputTypeDef, target: DeployTarget, previous: str | None
    ) -> DeployResult:
        """Check data capture, register autoscaling and tag the endpoint with this run, now that it serves; the XCom."""
        check_capture(description, self.config["endpoint_config"])
        register_autoscaling(self.hook, self.config, description)
        if tags := self.config["endpoint"].get("Tags"):
            self.hook.api.add_tags(ResourceArn=description["EndpointArn"], Tags=tags)
        serves = "is in the shadow" if target["shadow"] else f"serves as {target['variant']}"
        self.log.info(
            "%s %s of %s, on %s", self.model_package_arn, serves, self.endpoint, description["EndpointConfigName"]
        )
        return {
            **target,
            "endpoint": description["EndpointName"],
            "status": description["EndpointStatus"],
            "previous_endpoint_config": previous,
            "previous_autoscaling": self.previous_autoscaling(context),
        }


def state_of(description: DescribeEndpointOutputTypeDef) -> tuple[str, str]:
    """(config, status): what an update is decided on."""
    return description["EndpointConfigName"], description["EndpointStatus"]
