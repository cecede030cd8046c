"""What `model.yaml` may say about serving: the endpoint, its roll-out and its check, or monthly batch scoring.

What AWS excludes is an error here, before a job has cost anything; `docs/serving.md` names the sources.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from sagemaker_retraining.config.patterns import (
    AlarmName,
    ContentType,
    EndpointName,
    InstanceType,
    S3Prefix,
    Section,
    TopicArn,
    VariableName,
)

# UpdateEndpoint's bounds of MaximumExecutionTimeoutInSeconds.
SHORTEST_ROLLOUT_SECONDS, LONGEST_ROLLOUT_SECONDS = 600, 28_800
# New instances, image and model: what a roll-out takes besides its own waits.
PROVISIONING_SECONDS = 3600
_PERCENT = {"canary": (1, 10, 50), "linear": (10, 25, 50), "rolling": (5, 25, 50)}
_BELONGS_TO_ENDPOINT = ("serverless", "asynchronous", "rollout", "alarms", "autoscaling", "challenger")


class DataCapture(Section):
    """Data capture: requests and answers are written to S3 for monitoring."""

    enabled: bool = Field(default=True, description="Keep them.")
    sampling_percentage: int = Field(default=20, ge=0, le=100, description="Percent of the requests.")

    @property
    def captures(self) -> bool:
        """Whether anything is captured."""
        return self.enabled and self.sampling_percentage > 0


class Serverless(Section):
    """An endpoint without instances: billed by use, with cold starts."""

    memory_mb: int = Field(default=2048, description="Memory: 1024, 2048, 3072, 4096, 5120 or 6144 MB.")
    max_concurrency: int = Field(default=20, ge=1, le=200, description="Requests at a time; more are throttled.")
    provisioned_concurrency: int | None = Field(
        default=None, ge=1, le=200, description="Requests at a time without a cold start; billed all the time."
    )

    @field_validator("memory_mb", mode="after")
    @classmethod
    def in_gigabytes(cls, value: int) -> int:
        """AWS's six sizes."""
        if value % 1024 or not 1024 <= value <= 6144:
            raise ValueError(f"must be 1024, 2048, 3072, 4096, 5120 or 6144; got {value}")
        return value

    @model_validator(mode="after")
    def provisioned_within(self) -> Self:
        """SageMaker refuses more provisioned than there may be."""
        if (self.provisioned_concurrency or 0) > self.max_concurrency:
            raise ValueError(
                f"provisioned_concurrency: {self.provisioned_concurrency} is more than max_concurrency "
                f"{self.max_concurrency}"
            )
        return self


class Asynchronous(Section):
    """An endpoint that takes requests from S3 and leaves the answers there, under `<model>/asynchronous/`."""

    max_concurrent_invocations: int | None = Field(
        default=None, ge=1, le=1000, description="Requests an instance works on at a time; default SageMaker's choice."
    )
    success_topic_arn: TopicArn | None = Field(default=None, description="SNS topic told of every answer.")
    error_topic_arn: TopicArn | None = Field(default=None, description="SNS topic told of every failure.")


class Rollout(Section):
    """How traffic moves from the old instances to the new ones."""

    strategy: Literal["all_at_once", "canary", "linear", "rolling"] = Field(
        default="all_at_once",
        description="all_at_once; canary: a part, then the rest; linear: in equal steps; rolling: in batches of "
        "instances, without a second fleet.",
    )
    percent: int | None = Field(
        default=None, description="Size of the canary (1-50, default 10), a step (10-50, 25) or a batch (5-50, 25)."
    )
    wait_seconds: int = Field(
        default=300, ge=0, le=3600, description="Seconds after each step in which the alarms are watched."
    )
    termination_wait_seconds: int = Field(
        default=300, ge=0, le=3600, description="Seconds after the last step before the old instances go."
    )
    max_seconds: int | None = Field(
        default=None,
        ge=SHORTEST_ROLLOUT_SECONDS,
        le=LONGEST_ROLLOUT_SECONDS,
        description="Seconds for all of it, after which SageMaker rolls back; default the waits and an hour.",
    )

    @model_validator(mode="after")
    def fits_strategy(self) -> Self:
        """What is given must have a meaning in this strategy, and its percent AWS's bounds."""
        given = self.model_fields_set
        if self.strategy == "all_at_once":
            for name in ("percent", "wait_seconds"):
                if name in given:
                    raise ValueError(f"{name}: all_at_once has no steps; alarms watch termination_wait_seconds")
            return self
        if self.strategy == "rolling" and "termination_wait_seconds" in given:
            raise ValueError("termination_wait_seconds: rolling ends old instances batch by batch; give wait_seconds")
        low, _, high = _PERCENT[self.strategy]
        if self.percent is not None and not low <= self.percent <= high:
            raise ValueError(f"percent: {self.strategy} takes {low} to {high}, got {self.percent}")
        return self

    @model_validator(mode="after")
    def in_time(self) -> Self:
        """A roll-out that cannot end in its time always rolls back."""
        if self.wait_total_seconds >= self.timeout_seconds:
            raise ValueError(
                f"max_seconds: the waits alone take {self.wait_total_seconds} s; the roll-out has "
                f"{self.timeout_seconds} s"
            )
        return self

    @property
    def step_percent(self) -> int:
        """`percent`, or the strategy's default."""
        return self.percent or _PERCENT[self.strategy][1]

    @property
    def wait_total_seconds(self) -> int:
        """All waits of the roll-out; a canary waits after the canary and after the rest."""
        if self.strategy == "all_at_once":
            return self.termination_wait_seconds
        steps = 2 if self.strategy == "canary" else math.ceil(100 / self.step_percent)
        after = 0 if self.strategy == "rolling" else self.termination_wait_seconds
        return steps * self.wait_seconds + after

    @property
    def timeout_seconds(self) -> int:
        """`max_seconds`, or its default."""
        wanted = self.max_seconds or self.wait_total_seconds + PROVISIONING_SECONDS
        return min(wanted, LONGEST_ROLLOUT_SECONDS)

    @property
    def watched_seconds(self) -> int:
        """The shortest time in which the alarms see a part of the new instances' work before it is final."""
        return self.termination_wait_seconds if self.strategy == "all_at_once" else self.wait_seconds


class Alarm(Section):
    """A CloudWatch alarm that rolls the update back: described here and created by us, or one that exists."""

    metric: Literal["error_rate", "client_error_rate", "latency_p99_ms"] | None = Field(
        default=None,
        description="error_rate: share of 5xx answers; client_error_rate: of 4xx; latency_p99_ms: of the model.",
    )
    above: float | None = Field(default=None, ge=0, description="It goes off above this: a share 0-1, or milliseconds.")
    period_seconds: int = Field(default=60, description="Length of a period: 10, 30 or a multiple of 60 seconds.")
    periods: int = Field(default=1, ge=1, le=100, description="Periods in a row that must be above.")
    name: AlarmName | None = Field(default=None, description="Name of an alarm that exists, instead of all others.")

    @field_validator("period_seconds", mode="after")
    @classmethod
    def of_cloudwatch(cls, value: int) -> int:
        """PutMetricAlarm's Period."""
        if value not in {10, 30} and (value < 60 or value % 60):
            raise ValueError(f"must be 10, 30 or a multiple of 60; got {value}")
        return value

    @model_validator(mode="after")
    def one_kind(self) -> Self:
        """Either described or named."""
        if self.name is not None:
            if extra := self.model_fields_set - {"name"}:
                raise ValueError(f"name: an alarm that exists has its own {', '.join(sorted(extra))}")
            return self
        if self.metric is None or self.above is None:
            raise ValueError("give metric and above, or name")
        if self.metric != "latency_p99_ms" and self.above >= 1:
            raise ValueError(f"above: {self.metric} is a share below 1, such as 0.05; got {self.above:g}")
        if self.trips_after_seconds > 86_400:
            raise ValueError(f"periods: {self.trips_after_seconds} s; CloudWatch looks back a day at most")
        return self

    @property
    def trips_after_seconds(self) -> int:
        """How long it is above its limit before it goes off."""
        return self.period_seconds * self.periods


class Autoscaling(Section):
    """The number of instances follows the requests."""

    min_instances: int = Field(default=1, ge=1, le=100, description="Never fewer.")
    max_instances: int = Field(ge=1, le=100, description="Never more.")
    invocations_per_instance: float = Field(gt=0, description="Requests a minute that an instance should have.")
    scale_in_cooldown_seconds: int = Field(default=300, ge=0, le=3600, description="Pause after removing instances.")
    scale_out_cooldown_seconds: int = Field(default=300, ge=0, le=3600, description="Pause after adding instances.")

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """RegisterScalableTarget refuses it otherwise."""
        if self.min_instances > self.max_instances:
            raise ValueError(f"min_instances: {self.min_instances} is more than max_instances {self.max_instances}")
        return self


class Challenger(Section):
    """A new version beside the one that serves, instead of in its place."""

    mode: Literal["variant", "shadow"] = Field(
        alias="as",
        description="variant: it answers its share of the requests; shadow: it gets copies, nobody gets its answers.",
    )
    percent: int = Field(default=10, ge=1, le=100, description="Its share of the requests; a variant's is below 100.")
    report_after_hours: float | None = Field(
        default=24,
        ge=0,
        le=720,
        description="Hours after which verify compares a shadow's captured answers with production's; null: never.",
    )

    @model_validator(mode="after")
    def of_a_shadow(self) -> Self:
        """A variant answers requests of its own: some must be left, and its answers compare with nothing."""
        if self.mode == "variant" and "report_after_hours" in self.model_fields_set:
            raise ValueError("report_after_hours: only a shadow gets the same requests as the main variant")
        if self.mode == "variant" and self.percent == 100:
            raise ValueError("percent: a variant takes 1 to 99, the main one answers the rest; got 100")
        return self

    @property
    def is_compared(self) -> bool:
        """Whether there is to be a report."""
        return self.mode == "shadow" and self.report_after_hours is not None


class Batch(Section):
    """Scoring of a month's file by a transform job, into `<model>/predictions/period=YYYY-MM/`."""

    instance_type: InstanceType = Field(default="ml.m5.xlarge", description="SageMaker instance type.")
    instance_count: int = Field(default=1, ge=1, le=100, description="Number of instances.")
    input_uri: S3Prefix | None = Field(
        default=None,
        description="S3 prefix of what is scored, with {period} for the month; default "
        "`s3://<bucket>/<prefix>/<model>/scoring/period={period}/`.",
    )
    content_type: ContentType | None = Field(
        default=None, description="Content type of the files; default the first of register.content_types."
    )
    max_payload_mb: int = Field(default=6, ge=1, le=100, description="Size of a request to the model, in MB.")


class Deploy(Section):
    """What an approved version becomes: an endpoint, or monthly predictions."""

    kind: Literal["endpoint", "batch"] = Field(
        default="endpoint", description="endpoint; batch: a transform job each month instead."
    )
    endpoint: EndpointName | None = Field(
        default=None, description="Its name; {env} is the environment; default the model's name with - and -{env}."
    )
    instance_type: InstanceType = Field(default="ml.m5.large", description="SageMaker instance type.")
    instance_count: int = Field(default=1, ge=1, le=100, description="Number of instances.")
    data_capture: DataCapture = Field(
        default_factory=DataCapture, description="Requests and answers are written to S3."
    )
    environment: dict[VariableName, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, description="Environment variables of the model container. Not for secrets."
    )
    serverless: Serverless | None = Field(default=None, description="No instances of its own.")
    asynchronous: Asynchronous | None = Field(default=None, description="Requests and answers through S3.")
    rollout: Rollout | None = Field(default=None, description="How an update moves the traffic; default all at once.")
    alarms: Annotated[tuple[Alarm, ...], Field(strict=False, max_length=10)] = Field(
        default=(), description="What rolls an update back."
    )
    autoscaling: Autoscaling | None = Field(default=None, description="Number of instances by load.")
    challenger: Challenger | None = Field(default=None, description="New versions come beside the one that serves.")
    keep: int = Field(default=5, ge=1, le=100, description="Endpoint configs and models kept for going back.")
    batch: Batch | None = Field(default=None, description="Of kind batch.")

    @model_validator(mode="after")
    def of_its_kind(self) -> Self:
        """Sections of the other kind would be ignored."""
        if self.kind == "batch":
            self._exclude("kind", "batch", _BELONGS_TO_ENDPOINT)
        elif self.batch is not None:
            raise ValueError("batch: needs `kind: batch`")
        return self

    @model_validator(mode="after")
    def what_aws_excludes(self) -> Self:
        """Serverless and asynchronous endpoints, shadows and variants cannot have everything."""
        if self.serverless:
            others = ("asynchronous", "rollout", "alarms", "autoscaling", "challenger")
            self._exclude("serverless", "a serverless endpoint", others)
        if self.asynchronous:
            self._exclude("asynchronous", "an asynchronous endpoint", ("challenger",))
        if self.challenger:
            self._exclude("challenger", "an endpoint with a challenger", ("rollout", "alarms"))
            if self.challenger.is_compared and not self.data_capture.captures:
                raise ValueError(
                    "challenger: report_after_hours: the comparison reads captured answers; switch data_capture on, or "
                    "say null"
                )
        if not self.real_time and "data_capture" in self.model_fields_set and self.data_capture.enabled:
            kind = "a serverless" if self.serverless else "an asynchronous"
            raise ValueError(f"data_capture: {kind} endpoint captures nothing; set `enabled: false`")
        return self

    @model_validator(mode="after")
    def instances_suffice(self) -> Self:
        """Batches of instances, and the bounds of autoscaling."""
        least = self.autoscaling.min_instances if self.autoscaling else self.instance_count
        if self.rollout and self.rollout.strategy == "rolling" and least < 2:
            raise ValueError(
                "rollout.strategy: rolling replaces at most half of the instances at a time, so it needs 2 or more"
            )
        scaling = self.autoscaling
        if scaling and not scaling.min_instances <= self.instance_count <= scaling.max_instances:
            raise ValueError(
                f"instance_count: {self.instance_count} is not between autoscaling's min_instances "
                f"{scaling.min_instances} and max_instances {scaling.max_instances}"
            )
        return self

    @model_validator(mode="after")
    def alarms_can_trip(self) -> Self:
        """An alarm that needs longer than the roll-out waits guards nothing."""
        if self.alarms and self.rollout is None:
            raise ValueError("alarms: are watched while a roll-out waits; give rollout too")
        for alarm in self.alarms:
            if self.rollout and alarm.name is None and alarm.trips_after_seconds > self.rollout.watched_seconds:
                raise ValueError(
                    f"alarms: {alarm.metric} goes off after {alarm.trips_after_seconds} s, the roll-out waits "
                    f"{self.rollout.watched_seconds} s: wait longer, or use fewer or shorter periods"
                )
        return self

    @property
    def real_time(self) -> bool:
        """An endpoint of instances that answer at once: the only kind with data capture."""
        return self.serverless is None and self.asynchronous is None

    def _exclude(self, key: str, what: str, names: tuple[str, ...]) -> None:
        if found := [name for name in names if getattr(self, name)]:
            raise ValueError(f"{found[0]}: {what} cannot have {' or '.join(found)}; remove it, or {key}")


class Verify(Section):
    """The check after deployment: the endpoint's answers against evaluate's."""

    tolerance: float = Field(
        default=1e-6, ge=0, description="Largest difference between offline and online prediction."
    )
    on_failure: Literal["restore", "keep"] = Field(
        default="restore",
        description="When answers differ: restore what the endpoint served before, or keep the new version; the task "
        "fails either way.",
    )
