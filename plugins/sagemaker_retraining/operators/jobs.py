"""Processing and training jobs that a retry finds again instead of starting a second one."""

from __future__ import annotations

import asyncio
import copy
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerBaseOperator,
    SageMakerProcessingOperator,
    SageMakerTrainingOperator,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout, TaskDeferralTimeout
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import PROCESSING, TRAINING, JobKind, RetrainingHook
from sagemaker_retraining.job_identity import JobRequest, first_difference, generation_of
from sagemaker_retraining.job_log import PAUSE_SECONDS, JobLog, end_of_log
from sagemaker_retraining.links import JobLink, JobLogLink, job_addresses
from sagemaker_retraining.outcomes import (
    LIVE,
    Description,
    JobResult,
    Outcome,
    ProcessingResult,
    RuntimeLimit,
    TrainingResult,
    outcome_of,
    processing_result,
    raise_for_outcome,
    reason_is_in_log,
    rejection,
    training_result,
)
from sagemaker_retraining.plan import on_demand, with_generation
from sagemaker_retraining.requests.training import with_own_checkpoints
from sagemaker_retraining.requests.validation import validate
from sagemaker_retraining.triggers.base import is_transient
from sagemaker_retraining.triggers.job import JobEvent, JobTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from mypy_boto3_sagemaker.type_defs import CreateProcessingJobRequestTypeDef, CreateTrainingJobRequestTypeDef

    from sagemaker_retraining.plan.document import TransformConfig

    JobConfig = CreateProcessingJobRequestTypeDef | CreateTrainingJobRequestTypeDef | TransformConfig

# Provisioning, image pull and download are not part of MaxRuntime; capacity on demand can take a while.
DEADLINE_MARGIN_SECONDS = 2 * 3600
# What a task remembers across its tries and across being cleared (Airflow's task state store).
RECORDED_GENERATION = "recorded_generation"
FIRST_GENERATION = "first_generation"
CURRENT_JOB = "current_job"
MAX_TRIES = "max_tries"
# States of a task whose try on this worker was killed, but not by a person: one that is cleared is `restarting`.
STILL_TO_RUN = frozenset({"running", "up_for_retry", "scheduled", "queued", "deferred"})


class ResumableJobMixin(SageMakerBaseOperator):
    """Create-or-attach under a deterministic name, wait without a slot, answer with a small result.

    The provider's operators rename and create on every retry, so that two jobs bill at once. Here the name in
    `config` is the job's identity: it is created, and when the name is taken the job of that name is adopted if it was
    started from the same request. A failed or stopped job gets the next generation (`<name>-g1`, …) on the next try,
    and so does a job whose result was recorded before the user cleared the task.

    `s3_uris` replaces the `S3Uri` of inputs or channels by name, for what exists only after an earlier job (templated).
    """

    kind: JobKind
    deferrable: bool
    aws_hook_class = RetrainingHook
    template_fields: Sequence[str] = (*SageMakerBaseOperator.template_fields, "s3_uris")
    operator_extra_links = (JobLink(), JobLogLink())

    def __init__(
        self, *, config: JobConfig, s3_uris: dict[str, str] | None = None, poll_seconds: float = 30, **kwargs: Any
    ) -> None:
        super().__init__(config=cast("dict[str, Any]", config), check_interval=poll_seconds, **kwargs)
        self.s3_uris = s3_uris or {}
        self.poll_seconds = poll_seconds
        self._job: str | None = None
        self._job_log: JobLog | None = None
        self._task_instance: Any = None

    @property
    def sagemaker(self) -> RetrainingHook:
        """The hook; the provider's base class declares the type of its own."""
        return cast("RetrainingHook", self.hook)

    def result(self, description: Description) -> JobResult:
        """The XCom of an ended job."""
        raise NotImplementedError

    def attempt(self, request: JobRequest, generation: int, first: int, earlier: Sequence[Description]) -> JobRequest:
        """The request of a generation; `earlier` are the described jobs of those before it, from `first` on."""
        return with_generation(request, generation, first)

    # --- the task ---------------------------------------------------------------------------------

    def execute(self, context: Context) -> dict[str, object]:
        """Create or attach, then wait: deferred, or on the worker with `deferrable=False`. The kind's `JobResult`."""
        description = self.submit(context)
        name = description[self.kind.name_key]
        cleared = self.was_cleared(context, name)
        self.remember(context, name)
        status = description[self.kind.status_key]
        if status not in LIVE:
            return dict(self.finish(context, name))
        if cleared:
            self.sagemaker.stop_job(self.kind, name)
        trigger = self.trigger(description)
        # A job that is being stopped will not give a result: wait until it is gone, then begin the next generation.
        start_over = cleared or status == "Stopping"
        if self.deferrable:
            arguments = {"name": name, "start_over": start_over}
            self.defer(
                trigger=trigger, method_name="execute_complete", kwargs=arguments, timeout=self.execution_timeout
            )
        event = asyncio.run(self.follow(trigger))
        return self.execute_complete(context, event, name, start_over)

    def execute_complete(
        self, context: Context, event: Mapping[str, object] | None = None, name: str = "", start_over: bool = False
    ) -> dict[str, Any]:  # the provider's signature; a JobResult
        """The job has ended, or its time is over."""
        if (event or {}).get("status") == "timeout":
            self.give_up(name)
        return self.execute(context) if start_over else dict(self.finish(context, name))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Stop the job when the task's execution_timeout passed while it was deferred; Airflow tells nobody else.

        The signature is Airflow's.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            if name := context["task_state_store"].get(CURRENT_JOB):
                self.sagemaker.stop_job(self.kind, str(name))
            raise

    def submit(self, context: Context) -> Description:
        """Create the job or find the one to go on with; its Describe response."""
        request = self.request()
        validate(f"Create{self.kind.name}Job", request)
        first = self.first_generation(context)
        context["task_state_store"].set(FIRST_GENERATION, first)
        earlier: list[Description] = []
        for generation in count(first):
            attempt = self.attempt(request, generation, first, earlier)
            name = attempt[self.kind.name_key]
            created = self.create(attempt)
            description = self.sagemaker.describe_job(self.kind, name)
            if created:
                self.log.info("Created %s job %s", self.kind.name.lower(), name)
                return description
            if self.is_ours(attempt, description):
                self.log.info("Found %s job %s: %s", self.kind.name.lower(), name, description[self.kind.status_key])
                return description
            earlier.append(description)
        raise AssertionError("count() ends")

    def create(self, attempt: JobRequest) -> bool:
        """False when the name is taken. Raises a refusal as a JobError, which the retry policy can tell apart."""
        try:
            return self.sagemaker.create_job(self.kind, attempt)
        except ClientError as error:
            answer = error.response["Error"]
            raise rejection(answer["Code"], answer["Message"], passing=is_transient(error)) from error

    def is_ours(self, attempt: JobRequest, description: Description) -> bool:
        """Whether to go on with this job. A job that ended badly, or another one's that ended, is left behind.

        Raises AirflowFailException for a live job of another request. Spot or not is no difference: a deadline may
        have passed since the job was created.
        """
        status = description[self.kind.status_key]
        difference = first_difference(on_demand(attempt), description)
        if difference is None:
            return status in LIVE | {"Completed"}
        if status in LIVE:
            name = description[self.kind.name_key]
            raise AirflowFailException(
                f"{name} is running from another request ({difference} differs): stop it or wait for its end"
            )
        return False

    def request(self) -> JobRequest:
        """`config` with `s3_uris` filled in."""
        request = copy.deepcopy(dict(self.config))
        sources = {item["InputName"]: item["S3Input"] for item in request.get("ProcessingInputs", [])} | {
            item["ChannelName"]: item["DataSource"]["S3DataSource"] for item in request.get("InputDataConfig", [])
        }
        for name, uri in self.s3_uris.items():
            if name not in sources:
                raise AirflowFailException(f"s3_uris: {name!r} is none of the inputs {sorted(sources)}")
            sources[name]["S3Uri"] = uri
        return request

    # --- the wait ---------------------------------------------------------------------------------

    def trigger(self, description: Description) -> JobTrigger:
        """The wait, with a deadline from the job's own StoppingCondition instead of a count of polls."""
        stopping = description.get("StoppingCondition", {})
        limit = stopping.get("MaxWaitTimeInSeconds") or stopping.get("MaxRuntimeInSeconds") or 24 * 3600
        created = description["CreationTime"].timestamp()
        return JobTrigger(
            kind=self.kind.name,
            name=description[self.kind.name_key],
            poll_seconds=self.poll_seconds,
            since=created,
            deadline=created + limit + DEADLINE_MARGIN_SECONDS,
            hook_parameters=self._hook_parameters,
        )

    async def follow(self, trigger: JobTrigger) -> JobEvent:
        """The deferred wait on the worker: the same trigger, and the job's log while it runs."""
        printer = asyncio.create_task(self.show_log(trigger.name))
        try:
            async for event in trigger.run():
                payload: JobEvent = event.payload
                return payload
        finally:
            printer.cancel()
        raise AssertionError("a trigger ends with an event")

    async def show_log(self, name: str) -> None:
        """The job's lines as they come, until cancelled; `asyncio.run` waits for the thread, which loses no line."""
        while True:
            await asyncio.sleep(self.poll_seconds)
            await asyncio.to_thread(self.show_new_lines, name)

    def show_new_lines(self, name: str) -> None:
        """The lines that this process has not printed yet. Trouble with the log is no trouble with the job."""
        try:
            for line in self.job_log(name).new_lines():
                self.show_line(line)
        except Exception as error:
            self.log.warning("Cannot read the log of %s: %s", name, error)

    def show_line(self, line: str) -> None:
        """A line of the job's log in the task's."""
        self.log.info("| %s", line)

    def job_log(self, name: str) -> JobLog:
        """The log of the job, from where this process has read it to."""
        if self._job_log is None or self._job_log.job != name:
            self._job_log = JobLog(self.sagemaker, self.kind, name)
        return self._job_log

    def give_up(self, name: str) -> NoReturn:
        """The deadline passed: stop the job, it would bill on."""
        self.sagemaker.stop_job(self.kind, name)
        raise RuntimeLimit(f"{name} did not end within its own time limits; asked SageMaker to stop it")

    # --- the end ----------------------------------------------------------------------------------

    def finish(self, context: Context, name: str) -> JobResult:
        """Show the job's log, raise what its end means, return the result."""
        description = self.sagemaker.describe_job(self.kind, name)
        self.show_new_lines(name)
        pause = min(self.poll_seconds, PAUSE_SECONDS)
        tail = reason_is_in_log(description) and end_of_log(lambda: self.job_log(name), self.show_line, pause)
        raise_for_outcome(description, tail or "")
        result = self.result(description)
        self.log.info("%s: %s", name, result)
        self.conclude(result)
        context["task_state_store"].set(RECORDED_GENERATION, generation_of(name))
        return result

    def conclude(self, result: JobResult) -> None:
        """Use a result before it is recorded; a try after this one does it again."""

    def first_generation(self, context: Context) -> int:
        """0, or the one after the generation whose result this task has recorded: a cleared task does it again.

        A retry does not: its worker may have died, or Airflow may have failed, between the record and the XCom.
        """
        store = context["task_state_store"]
        recorded = store.get(RECORDED_GENERATION)
        if recorded is None:
            return 0
        if self.is_retry(context):
            return int(str(store.get(FIRST_GENERATION)))
        return int(str(recorded)) + 1

    def was_cleared(self, context: Context, name: str) -> bool:
        """Whether a person cleared the task while this job ran. The kill that comes with it may not have stopped it."""
        store = context["task_state_store"]
        return (
            context.get("ti") is not None
            and store.get(CURRENT_JOB) == name
            and store.get(MAX_TRIES) is not None
            and not self.is_retry(context)
        )

    def is_retry(self, context: Context) -> bool:
        """Whether nobody has cleared the task since its last try: clearing raises the number of tries it may have."""
        ti = context.get("ti")
        return ti is not None and context["task_state_store"].get(MAX_TRIES) == ti.max_tries

    def remember(self, context: Context, name: str) -> None:
        """Tell whoever may have to stop or look at the job: on_kill, a deferral that times out, people."""
        self._job = name
        self._task_instance = context.get("ti")
        context["task_state_store"].set(CURRENT_JOB, name)
        if self._task_instance is not None:
            context["task_state_store"].set(MAX_TRIES, self._task_instance.max_tries)
            for key, address in job_addresses(self.sagemaker, self.kind, name).items():
                self._task_instance.xcom_push(key=key, value=address)

    def on_kill(self) -> None:
        """Killed on the worker: stop the job when a person or the execution_timeout did it.

        A worker that is drained is killed with the same signal, but its task is still to run: the retry attaches. So is
        one that was silent for too long, whose task Airflow has given to another worker meanwhile.
        """
        if self._job is None:
            return
        if not isinstance(sys.exc_info()[1], AirflowTaskTimeout) and self.will_be_retried():
            self.log.info("%s goes on: the task is still to run, its next try attaches", self._job)
            return
        self.sagemaker.stop_job(self.kind, self._job)

    def will_be_retried(self) -> bool:
        """Whether Airflow still wants this task's result, and has a try left to fetch it."""
        ti = self._task_instance
        if ti is None or ti.try_number > ti.max_tries:
            return False
        try:
            states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])
        except Exception as error:
            self.log.warning("Cannot ask Airflow for the task's state: %s", error)
            return True
        return states.get(ti.run_id, {}).get(ti.task_id) in STILL_TO_RUN


class ResumableProcessingOperator(ResumableJobMixin, SageMakerProcessingOperator):
    """`SageMakerProcessingOperator` that attaches on retry. Returns a `ProcessingResult`."""

    kind = PROCESSING

    def result(self, description: Description) -> ProcessingResult:
        """See `outcomes.processing_result`."""
        return processing_result(description)


class ResumableTrainingOperator(ResumableJobMixin, SageMakerTrainingOperator):
    """`SageMakerTrainingOperator` that attaches on retry, resumes from checkpoints and leaves Spot when it must.

    SageMaker itself never falls back: a Spot job without capacity ends Stopped. After `on_demand_after` such jobs
    (None: never), or `on_demand_after_hours` after the first one was created, the next try is on demand.
    Returns a `TrainingResult`.
    """

    kind = TRAINING

    def __init__(
        self, *, on_demand_after: int | None = 1, on_demand_after_hours: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.on_demand_after = on_demand_after
        self.on_demand_after_hours = on_demand_after_hours

    def attempt(self, request: JobRequest, generation: int, first: int, earlier: Sequence[Description]) -> JobRequest:
        """On demand once Spot has had its chance; with the checkpoints of the very same training only."""
        attempt = with_own_checkpoints(super().attempt(request, generation, first, earlier))
        return on_demand(attempt) if self.leaves_spot(earlier) else attempt

    def leaves_spot(self, earlier: Sequence[Description]) -> bool:
        """Whether enough Spot jobs found no capacity, or their time is over."""
        missed = [
            job
            for job in earlier
            if job.get("EnableManagedSpotTraining") and outcome_of(job) in {Outcome.SPOT_TIMEOUT, Outcome.CAPACITY}
        ]
        if not missed:
            return False
        if self.on_demand_after is not None and len(missed) >= self.on_demand_after:
            return True
        hours = (datetime.now(UTC) - earlier[0]["CreationTime"]).total_seconds() / 3600
        return self.on_demand_after_hours is not None and hours >= self.on_demand_after_hours

    def result(self, description: Description) -> TrainingResult:
        """See `outcomes.training_result`."""
        return training_result(description)
