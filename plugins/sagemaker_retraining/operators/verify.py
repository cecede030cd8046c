"""Verification of what was deployed: the endpoint answers what the evaluation computed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sagemaker_retraining import registry
from sagemaker_retraining.endpoints.answers import AnswerComparison
from sagemaker_retraining.endpoints.autoscaling import release_autoscaling, restore_autoscaling, served_instance_type
from sagemaker_retraining.endpoints.invocation import AsynchronousInvoker, Invoker
from sagemaker_retraining.endpoints.preconditions import update_problem
from sagemaker_retraining.endpoints.service_history import note_verified
from sagemaker_retraining.endpoints.shadow import compare_shadow
from sagemaker_retraining.endpoints.state import pending_config, serves, status_text, version_arn
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.links import ReportLink, report_address
from sagemaker_retraining.requests.hosting import update_request
from sagemaker_retraining.requests.rollout import MARGIN_SECONDS
from sagemaker_retraining.triggers.endpoint import MOVING, EndpointTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

    from sagemaker_retraining.plan.document import VerifyConfig
    from sagemaker_retraining.triggers.base import PollEvent
    from sagemaker_retraining.xcom import DeployResult, ShadowReport, VerifyResult

MOST_DIFFERENCES = 5
CSV = "text/csv"


class VerifyEndpointOperator(AwsBaseOperator[RetrainingHook]):
    """Sends the holdout sample to the endpoint and compares with the offline predictions (train/serve skew).

    `deployment` is the result of deploy, `sample_uri` the `sample.jsonl` that evaluate left. A challenger is asked by
    name. When answers differ and `on_failure` is restore, the config that served before is put back before the task
    fails, unless somebody has put another one there meanwhile. When they do not, the version is noted as one that has
    served.
    A shadow answers nobody: there the task waits `report_after_hours`, deferred, and compares the captured answers with
    production's. A difference fails nothing: a person judges it.
    """

    operator_extra_links = (ReportLink(),)

    aws_hook_class = RetrainingHook
    template_fields = aws_template_fields("config", "deployment", "sample_uri")
    template_fields_renderers = {"config": "json"}  # noqa: RUF012 (Airflow's own spelling)

    def __init__(
        self, *, config: VerifyConfig, deployment: DeployResult, sample_uri: str, poll_seconds: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.deployment = deployment
        self.sample_uri = sample_uri
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> VerifyResult | ShadowReport:
        """One request per line; fails with the first rows that differ by more than the tolerance."""
        description = self.require_deployed()
        if self.deployment["shadow"]:
            return self.compare_later(context, description["LastModifiedTime"])
        sample = [json.loads(line) for line in self.hook.read_bytes(self.sample_uri).splitlines()]
        if not sample:
            raise AirflowFailException(f"{self.sample_uri}: the sample is empty, nothing can be verified")
        invoke = self.invoker()
        comparison = AnswerComparison(self.config["tolerance"])
        for row in sample:
            comparison.add(row, invoke)
            if comparison.errors >= MOST_DIFFERENCES:  # each may take a minute
                break
        if comparison.wrong:
            return self.put_back(
                f"{len(comparison.wrong)} of {len(comparison.seconds)} answers of {self.config['endpoint']} differ "
                f"from the offline predictions by more than {self.config['tolerance']:g}; the first: "
                + "; ".join(comparison.wrong[:MOST_DIFFERENCES])
            )
        result = comparison.result()
        self.log.info("%s: %s", self.config["endpoint"], result)
        note_verified(self.hook, self.deployment)
        return result

    def invoker(self) -> Invoker:
        """For the endpoint's kind, and the variant that is new."""
        endpoint = self.config["endpoint"]
        if folder_uri := self.config.get("asynchronous_uri"):
            return AsynchronousInvoker(self.hook, endpoint, self.accept(), folder_uri, self.config.get("kms_key_arn"))
        return Invoker(self.hook, endpoint, self.accept(), self.deployment["variant"])

    def accept(self) -> str:
        """A content type that the version answers in: CSV if it can, because numbers in CSV are the least ambiguous."""
        arn = version_arn(self.hook, self.deployment["model"])
        inference = registry.describe_version(self.hook.api, arn).get("InferenceSpecification") if arn else None
        types = (inference and inference.get("SupportedResponseMIMETypes")) or [CSV]
        return CSV if CSV in types else types[0]

    def compare_later(self, context: Context, since: datetime) -> ShadowReport:
        """Wait until the shadow has seen enough requests; the hours count from the end of the deployment."""
        if "shadow" not in self.config:
            raise AirflowSkipException("a shadow answers nobody, and report_after_hours asks for no comparison")
        due = since + timedelta(hours=self.config["shadow"]["report_after_hours"] or 0)
        if due > datetime.now(UTC):
            self.log.info("The shadow's answers are compared with production's at %s", due)
            self.defer(
                trigger=DateTimeTrigger(moment=due),
                method_name="compare_now",
                kwargs={"since": since.isoformat()},
            )
        return self.compare_now(context, since=since.isoformat())

    def compare_now(self, context: Context, event: Any = None, *, since: str) -> ShadowReport:
        """Write the report; nothing, when the shadow has been taken out in the meantime."""
        description = self.hook.endpoint_or_none(self.config["endpoint"])
        wanted = self.deployment["endpoint_config"]
        if description is None or description["EndpointConfigName"] != wanted:
            raise AirflowSkipException(f"{self.config['endpoint']} is not on {wanted} any more: nothing is compared")
        result = compare_shadow(self.hook, self.config, description, datetime.fromisoformat(since))
        context["ti"].xcom_push(key=ReportLink().xcom_key, value=report_address(self.hook, result["report"]))
        self.log.info("%s", result)
        return result

    def require_deployed(self) -> DescribeEndpointOutputTypeDef:
        """The described endpoint: answers of another config would say nothing about this one."""
        endpoint, wanted = self.config["endpoint"], self.deployment["endpoint_config"]
        description = self.hook.endpoint_or_none(endpoint)
        if description is None or not serves(description, wanted):
            raise AirflowFailException(
                f"{endpoint} is {status_text(description)}, and this run deployed {wanted}: an earlier try put the "
                f"previous config back, or another deployment came in between. Clear deploy to deploy it again"
            )
        return description

    def put_back(self, problem: str) -> NoReturn:
        """Begin to put back what served before, if there is something to put back, and fail."""
        previous = self.deployment["previous_endpoint_config"]
        if self.config["on_failure"] == "keep":
            raise AirflowFailException(f"{problem}. It serves on, as verify.on_failure says")
        if previous is None:
            raise AirflowFailException(f"{problem}. It serves on: there is no config before it to go back to")
        if self.hook.endpoint_config_or_none(previous) is None:
            raise AirflowFailException(
                f"{problem}. It serves on: {previous}, which served before, has been deleted. Trigger the model's "
                f"rollback DAG"
            )
        self.go_back(problem)

    def go_back(self, problem: str) -> NoReturn:
        """Put back what served before, if what this run deployed still serves."""
        endpoint, previous = self.config["endpoint"], str(self.deployment["previous_endpoint_config"])
        description = self.hook.endpoint_or_none(endpoint)
        wanted = self.deployment["endpoint_config"]
        if description is None or description["EndpointConfigName"] != wanted:
            raise AirflowFailException(
                f"{problem}. Somebody has changed the endpoint since: it is {status_text(description)}, and stays so"
            )
        if description["EndpointStatus"] in MOVING:
            coming = pending_config(description)
            if coming == previous:  # this task's own update, whose answer was lost, or that of a person who was as fast
                self.wait(problem, "put_back_done")
            if coming != wanted:
                raise AirflowFailException(
                    f"{problem}. {previous} is not put back: the endpoint is {status_text(description)}, and what "
                    f"comes is {coming}, by somebody else"
                )
            self.log.info("%s scales; %s is put back when it rests", endpoint, previous)
            self.wait(problem, "put_back_now")
        before = self.hook.api.describe_endpoint_config(EndpointConfigName=previous)
        if refused := update_problem(self.hook, description, before):
            raise AirflowFailException(f"{problem}. It serves on, for {previous} cannot be put back: {refused}")
        keep = release_autoscaling(self.hook, description, served_instance_type(self.hook, previous), wanted=True)
        self.log.error("%s. Putting %s back", problem, previous)
        if self.hook.begin_update(update_request(endpoint, previous, keep_instances=keep)):
            self.wait(problem, "put_back_done")
        self.go_back(problem)  # something has begun since the look: see what

    def wait(self, problem: str, method: str) -> NoReturn:
        """Defer until the endpoint rests."""
        self.defer(
            trigger=EndpointTrigger(
                endpoint=self.config["endpoint"],
                poll_seconds=self.poll_seconds,
                since=time.time(),
                deadline=time.time() + MARGIN_SECONDS,
                hook_parameters=self._hook_parameters,
            ),
            method_name=method,
            kwargs={"problem": problem},
        )

    def put_back_now(self, context: Context, event: PollEvent, problem: str) -> NoReturn:
        """The endpoint rests, where it scaled before."""
        if event["status"] == "timeout":
            raise AirflowFailException(
                f"{problem}. It serves on: {self.config['endpoint']} did not come to rest within {MARGIN_SECONDS} s, "
                f"so nothing could be put back. Trigger the model's rollback DAG"
            )
        self.go_back(problem)

    def put_back_done(self, context: Context, event: PollEvent, problem: str) -> None:
        """Fail, with what serves now."""
        endpoint, previous = self.config["endpoint"], str(self.deployment["previous_endpoint_config"])
        description = self.hook.api.describe_endpoint(EndpointName=endpoint)
        if serves(description, previous):
            if "previous_autoscaling" in self.deployment:
                restore_autoscaling(self.hook, description, self.deployment["previous_autoscaling"])
            raise AirflowFailException(f"{problem}. {previous}, which served before, serves again")
        raise AirflowFailException(
            f"{problem}. Going back to {previous} failed too: {endpoint} is {status_text(description)}: "
            f"{description.get('FailureReason', 'SageMaker gives no reason')}"
        )
