"""Processing and training jobs that a retry finds again instead of starting a second one."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerBaseOperator,
    SageMakerProcessingOperator,
    SageMakerTrainingOperator,
)
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.hooks import PROCESSING, TRAINING, JobKind, RetrainingHook
from sagemaker_retraining.outcomes import RuntimeLimit, processing_result, raise_for_outcome, training_result
from sagemaker_retraining.plan import with_generation
from sagemaker_retraining.requests.validation import validate
from sagemaker_retraining.triggers.job import JobTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

# Provisioning, image pull and download are not part of MaxRuntime; capacity on demand can take a while.
DEADLINE_MARGIN_SECONDS = 2 * 3600
RECORDED_GENERATION = "recorded_generation"
LIVE = frozenset({"InProgress", "Stopping"})


class ResumableJobMixin(SageMakerBaseOperator):
    """Create-or-attach under a deterministic name, wait without a slot, answer with a small result.

    The provider's operators rename and create on every retry, so that two jobs bill at once. Here the name in
    `config` is the job's identity: it is created, and when the name is taken the job of that name is adopted if it was
    started from the same request. A failed or stopped job gets the next generation (`<name>-g1`, …) on the next try,
    and so does a job whose result was recorded before the user cleared the task.

    `s3_uris` replaces the `S3Uri` of inputs by name, for what exists only after an earlier job (templated).
    """

    kind: JobKind
    deferrable: bool
    aws_hook_class = RetrainingHook
    template_fields: Sequence[str] = (*SageMakerBaseOperator.template_fields, "s3_uris")

    def __init__(
        self, *, config: dict[str, Any], s3_uris: dict[str, str] | None = None, poll_seconds: float = 30, **kwargs: Any
    ) -> None:
        super().__init__(config=config, check_interval=poll_seconds, **kwargs)
        self.s3_uris = s3_uris or {}
        self.poll_seconds = poll_seconds
        self._job_name: str | None = None

    @property
    def sagemaker(self) -> RetrainingHook:
        """The hook; the provider's base class declares the type of its own."""
        return cast("RetrainingHook", self.hook)

    def result(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """The XCom of an ended job."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Create or attach, then wait: deferred, or on the worker with `deferrable=False`."""
        description = self.submit(context)
        name = description[self.kind.name_key]
        self._job_name = name
        if description[self.kind.status_key] not in LIVE:
            return self.finish(context, name)
        trigger = self.trigger(description)
        if self.deferrable:
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.execution_timeout)
        while self.sagemaker.describe_job(self.kind, name)[self.kind.status_key] in LIVE:
            if time.time() > trigger.deadline:
                self.give_up(name)
            time.sleep(self.poll_seconds)
        return self.finish(context, name)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Back from the triggerer: the job has ended, or its time is over."""
        name = (event or {}).get("name")
        if name is None:
            self.give_up(self.submit(context)[self.kind.name_key])
        return self.finish(context, name)

    def submit(self, context: Context) -> dict[str, Any]:
        """Create the job or find the one to go on with; its Describe response."""
        request = self.request()
        validate(f"Create{self.kind.name}Job", request)
        generation = self.first_generation(context)
        while True:
            attempt = with_generation(request, generation)
            name = attempt[self.kind.name_key]
            if self.sagemaker.create_job(self.kind, attempt):
                self.log.info("Created %s job %s", self.kind.name.lower(), name)
                return self.sagemaker.describe_job(self.kind, name)
            description = self.sagemaker.describe_job(self.kind, name)
            status = description[self.kind.status_key]
            difference = first_difference(attempt, description)
            if difference is None and status in LIVE | {"Completed"}:
                self.log.info("Attached to %s job %s (%s)", self.kind.name.lower(), name, status)
                return description
            if status in LIVE:
                raise AirflowFailException(
                    f"{name} is running from another request ({difference} differs): stop it or wait for its end"
                )
            generation += 1

    def request(self) -> dict[str, Any]:
        """`config` with `s3_uris` filled in."""
        request = copy.deepcopy(dict(self.config))
        inputs = {item["InputName"]: item for item in request.get("ProcessingInputs", [])}
        for name, uri in self.s3_uris.items():
            if name not in inputs:
                raise AirflowFailException(f"s3_uris: {name!r} is none of the inputs {sorted(inputs)}")
            inputs[name]["S3Input"]["S3Uri"] = uri
        return request

    def trigger(self, description: Mapping[str, Any]) -> JobTrigger:
        """The wait, with a deadline from the job's own StoppingCondition instead of a count of polls."""
        stopping = description.get("StoppingCondition", {})
        limit = stopping.get("MaxWaitTimeInSeconds") or stopping.get("MaxRuntimeInSeconds") or 24 * 3600
        return JobTrigger(
            kind=self.kind.name,
            name=description[self.kind.name_key],
            poll_seconds=self.poll_seconds,
            deadline=description["CreationTime"].timestamp() + limit + DEADLINE_MARGIN_SECONDS,
            hook_parameters=self._hook_parameters,
        )

    def finish(self, context: Context, name: str) -> dict[str, Any]:
        """Show the job's log, raise what its end means, return the result."""
        description = self.sagemaker.describe_job(self.kind, name)
        for line in self.sagemaker.job_log(self.kind, name):
            self.log.info("| %s", line)
        raise_for_outcome(description)
        result = self.result(description)
        self.log.info("%s: %s", name, result)
        context["task_state_store"].set(RECORDED_GENERATION, generation_of(name))
        return result

    def first_generation(self, context: Context) -> int:
        """0, or the one after the generation whose result this task has recorded: a cleared task does it again."""
        recorded = context["task_state_store"].get(RECORDED_GENERATION)
        return 0 if recorded is None else int(str(recorded)) + 1

    def give_up(self, name: str) -> NoReturn:
        """The deadline passed: stop the job, it would bill on."""
        self.sagemaker.stop_job(self.kind, name)
        raise RuntimeLimit(f"{name} did not end within its own time limits; asked SageMaker to stop it")

    def on_kill(self) -> None:
        """Stop the job when the task is killed while it waits on the worker."""
        if self._job_name is not None:
            self.sagemaker.stop_job(self.kind, self._job_name)


class ResumableProcessingOperator(ResumableJobMixin, SageMakerProcessingOperator):
    """`SageMakerProcessingOperator` that attaches on retry.

    Returns `{name, arn, status, exit_message, seconds, instance_count, outputs: {name: uri}, started_at, ended_at}`.
    """

    kind = PROCESSING

    def result(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """See `outcomes.processing_result`."""
        return processing_result(description)


class ResumableTrainingOperator(ResumableJobMixin, SageMakerTrainingOperator):
    """`SageMakerTrainingOperator` that attaches on retry and resumes from the run's checkpoints.

    Returns `{name, arn, status, secondary_status, model_artifact, metrics, training_seconds, billable_seconds,
    instance_count, savings_pct, interruptions, spot, started_at, ended_at}`.
    """

    kind = TRAINING

    def result(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """See `outcomes.training_result`."""
        return training_result(description)


def generation_of(name: str) -> int:
    """`…-g2` → 2; a name without the suffix is generation 0."""
    _, mark, number = name.rpartition("-g")
    return int(number) if mark and number.isdigit() else 0


def first_difference(request: Any, description: Any, path: str = "") -> str | None:
    """The first member of a request that the described job does not have, as a path; None when it is that job.

    Describe adds members and defaults, so only what was asked for is compared; tags are not described.
    """
    if isinstance(request, Mapping) and isinstance(description, Mapping):
        for key, value in request.items():
            if key != "Tags" and (found := first_difference(value, description.get(key), f"{path}.{key}".lstrip("."))):
                return found
        return None
    if isinstance(request, list) and isinstance(description, list) and len(request) == len(description):
        pairs = enumerate(zip(request, description, strict=True))
        return next((found for i, (a, b) in pairs if (found := first_difference(a, b, f"{path}[{i}]"))), None)
    return None if request == description else path
