"""What `include/models/<model>/model.yaml` may say. Units are in the names; every default is a working one."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sagemaker_retraining.config.messages import did_you_mean
from sagemaker_retraining.config.metrics import DEFAULT_METRICS, Direction, Problem, known_metrics
from sagemaker_retraining.config.patterns import (
    ContentTypes,
    EndpointName,
    ImageUri,
    InstanceType,
    InstanceTypes,
    MetricName,
    ModelName,
    PeriodText,
    S3Prefix,
    Scalar,
    ScriptName,
    Section,
    TagText,
    VariableName,
)
from sagemaker_retraining.config.serving import Deploy, Verify

RetryOutcome = Literal[
    "spot_timeout",
    "runtime_limit",
    "stopped",
    "capacity",
    "throttled",
    "service_fault",
    "algorithm_error",
    "client_error",
]
WORTH_ANOTHER_TRY: tuple[RetryOutcome, ...] = ("spot_timeout", "capacity", "throttled", "service_fault")
# What a processing argument or an environment variable of a job may hold, in characters (CreateProcessingJob).
LONGEST_ARGUMENT = 256


class Image(Section):
    """The container image of all jobs and of the endpoint: a framework of the lock file, or a URI."""

    framework: str | None = Field(default=None, description="Framework in `include/images.lock.yaml`, such as xgboost.")
    version: str | None = Field(
        default=None, description="Version of the framework in the lock file, in quotes if it is a number."
    )
    uri: ImageUri | None = Field(default=None, description="Any image instead; short form: `image: <uri>`.")

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Either framework and version, or uri (after loading both are there)."""
        if (self.framework is None) != (self.version is None) or (self.framework is None and self.uri is None):
            raise ValueError("give framework and version, or uri")
        return self


def _short_image(value: Any) -> Any:
    return {"uri": value} if isinstance(value, str) else value


class Data(Section):
    """The raw months a run reads."""

    history_months: Literal["all"] | int = Field(
        default="all",
        description="Calendar months before the run's month that the model learns from: 1 to 1200, or all.",
    )
    raw_uri: S3Prefix | None = Field(
        default=None,
        description="S3 prefix that holds `period=YYYY-MM/`; default `s3://<bucket>/<prefix>/<model>/raw/`.",
    )
    timeout_hours: int = Field(default=72, ge=1, le=720, description="Hours to wait for the month's `_SUCCESS`.")

    @field_validator("history_months", mode="after")
    @classmethod
    def a_century_at_most(cls, value: Any) -> Any:
        """A model that learns from no month cannot be trained."""
        if value != "all" and not 1 <= value <= 1200:
            raise ValueError(f"must be 1 to 1200, or all; got {value}")
        return value


class Retry(Section):
    """What is tried again: a job that ended badly gets a next generation."""

    count: int = Field(default=3, ge=0, le=20, description="Tries after the first.")
    delay_seconds: int = Field(default=60, ge=0, le=86_400, description="Seconds between two tries.")
    on: Annotated[tuple[RetryOutcome, ...], Field(strict=False)] = Field(
        default=WORTH_ANOTHER_TRY,
        description="Ends of a job that are worth another try; all others fail at once.",
    )


class Step(Section):
    """A job: which script on which machine, for how long at most."""

    instance_type: InstanceType = Field(default="ml.m5.xlarge", description="SageMaker instance type.")
    instance_count: int = Field(default=1, ge=1, le=100, description="Number of instances.")
    volume_gb: int = Field(default=30, ge=1, le=16384, description="Size of each instance's disk, in GB.")
    environment: dict[VariableName, Annotated[str, Field(max_length=LONGEST_ARGUMENT)]] = Field(
        default_factory=dict, description="Environment variables of the script. Not for secrets: SageMaker shows them."
    )
    retry: Retry = Field(default_factory=Retry, description="What is tried again.")


class ProcessingStep(Step):
    """A processing job. Its script gets `--period YYYY-MM` and the arguments."""

    max_runtime_seconds: int = Field(
        default=3600, ge=1, le=777_600, description="Seconds after which the job is stopped."
    )
    arguments: dict[VariableName, Scalar] = Field(
        default_factory=dict, description="Further arguments of the script: `key: value` becomes `--key value`."
    )

    @field_validator("arguments", mode="after")
    @classmethod
    def fit_the_request(cls, arguments: dict[str, Scalar]) -> dict[str, Scalar]:
        """CreateProcessingJob allows 256 characters each; `period` is the run's own."""
        if "period" in arguments:
            raise ValueError("period: is given by the run; choose another name")
        for key, value in arguments.items():
            if not 1 <= len(str(value)) <= LONGEST_ARGUMENT:
                raise ValueError(f"{key}: a value has 1 to {LONGEST_ARGUMENT} characters, got {len(str(value))}")
        return arguments


class Preprocess(ProcessingStep):
    """Raw months in; train, validation and test sets out."""

    script: ScriptName = Field(default="preprocess.py", description="File in the model's folder.")


class Evaluate(ProcessingStep):
    """Test set, model and champion in; evaluation.json and report out."""

    script: ScriptName = Field(default="evaluate.py", description="File in the model's folder.")


class Spot(Section):
    """Managed Spot training: cheaper, can be interrupted, goes on from the checkpoints."""

    enabled: bool = Field(default=True, description="Train on Spot capacity.")
    max_wait_seconds: int | None = Field(
        default=None, ge=1, description="Seconds for waiting and running together; default twice max_runtime_seconds."
    )
    on_demand_after: Literal["never"] | int = Field(
        default=1,
        description="Spot jobs without capacity in time before the next try is on demand: a number from 1, or never.",
    )
    on_demand_after_hours: int | None = Field(
        default=None,
        ge=0,
        description="Hours since the first job after which the next try is on demand, whatever their number.",
    )

    @field_validator("on_demand_after", mode="after")
    @classmethod
    def at_least_one(cls, value: Any) -> Any:
        """To start on demand is `enabled: false`."""
        if value != "never" and value < 1:
            raise ValueError(f"must be at least 1, or never; got {value}")
        return value


class MetricDefinition(Section):
    """A figure SageMaker reads from the training log."""

    name: str = Field(min_length=1, max_length=255, description="Name of the metric, such as `validation:auc`.")
    regex: str = Field(
        min_length=1, max_length=500, description="Regular expression with one group, around the number in a log line."
    )

    @field_validator("regex", mode="after")
    @classmethod
    def one_group(cls, value: str) -> str:
        """SageMaker takes what the group matched."""
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from error
        if groups < 1:
            raise ValueError(f"{value!r} has no (group) around the number")
        return value


class Train(Step):
    """The training job, in script mode."""

    script: ScriptName = Field(default="train.py", description="File in the model's folder.")
    instance_type: InstanceType = Field(default="ml.m5.2xlarge", description="SageMaker instance type.")
    max_runtime_seconds: int = Field(
        default=7200, ge=1, le=2_419_200, description="Seconds of running after which the job is stopped."
    )
    spot: Spot = Field(default_factory=Spot, description="Spot capacity.")
    hyperparameters: dict[VariableName, Scalar] = Field(
        default_factory=dict, max_length=90, description="Given to the script as `--key value`. Not for secrets."
    )
    metrics: Annotated[tuple[MetricDefinition, ...], Field(strict=False, max_length=40)] = Field(
        default=(),
        description="Figures to read from the log, with an image of your own; AWS's XGBoost image brings its own.",
    )

    @field_validator("hyperparameters", mode="after")
    @classmethod
    def fit_the_request(cls, hyperparameters: dict[str, Scalar]) -> dict[str, Scalar]:
        """CreateTrainingJob: 2500 characters, one line each; the names sagemaker_… belong to script mode."""
        for key, value in hyperparameters.items():
            if key.startswith("sagemaker_"):
                raise ValueError(f"{key}: names that start with sagemaker_ are set by the pipeline")
            if len(json.dumps(value)) > 2500:
                raise ValueError(f"{key}: at most 2500 characters, got {len(json.dumps(value))}")
        return hyperparameters

    @model_validator(mode="after")
    def wait_covers_run(self) -> Self:
        """SageMaker refuses MaxWaitTimeInSeconds < MaxRuntimeInSeconds."""
        if self.spot.max_wait_seconds is not None and self.spot.max_wait_seconds < self.max_runtime_seconds:
            raise ValueError(
                f"spot.max_wait_seconds: {self.spot.max_wait_seconds} is less than max_runtime_seconds "
                f"{self.max_runtime_seconds}; it counts waiting and running, so it must be at least as long"
            )
        return self

    @property
    def max_wait_seconds(self) -> int | None:
        """MaxWaitTimeInSeconds of a Spot job; None on demand."""
        if not self.spot.enabled:
            return None
        return self.spot.max_wait_seconds or 2 * self.max_runtime_seconds


class QualityGate(Section):
    """What a new version must reach before it is registered."""

    minimum: dict[MetricName, float] = Field(default_factory=dict, description="Metrics that must not be lower.")
    maximum: dict[MetricName, float] = Field(default_factory=dict, description="Metrics that must not be higher.")
    metric: MetricName | None = Field(
        default=None, description="Metric compared with the champion; default auc, accuracy or rmse, by problem."
    )
    direction: Direction | None = Field(
        default=None,
        description="Of metric, when it is one of your own: maximize when more of it is better, else minimize. That of "
        "the usual metrics is known.",
    )
    require: Literal["not_worse", "better", "nothing"] = Field(
        default="not_worse",
        description="Of the comparison with the champion, on the same month: not_worse lets the interval of the "
        "difference reach down to -tolerance, better wants it above 0, nothing only shows it.",
    )
    tolerance: float = Field(
        default=0.005,
        ge=0,
        description="How much worse than the champion is still good enough, in the metric's own unit.",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="Confidence of the interval of the difference, 0.5 to 1."
    )
    samples: int = Field(
        default=500, ge=100, le=10_000, description="Bootstrap samples, the same for both models, behind the interval."
    )
    seed: int = Field(default=2013, ge=0, description="Seed of the samples: the same data give the same decision.")
    on_failure: Literal["fail", "skip", "register_rejected"] = Field(
        default="fail",
        description="What a refused model does to the run: fail, skip what follows, or register it as Rejected with "
        "the reason.",
    )


class Register(Section):
    """The version in the Model Registry."""

    group: EndpointName | None = Field(
        default=None, description="Model package group; may contain {env}; default the model's name with -."
    )
    content_types: ContentTypes = Field(default=("text/csv",), description="What the endpoint reads.")
    response_types: ContentTypes = Field(default=("text/csv",), description="What the endpoint answers.")
    inference_instance_types: InstanceTypes | None = Field(
        default=None, description="Instance types an endpoint of it may have; default that of deploy."
    )
    transform_instance_types: InstanceTypes = Field(
        default=("ml.m5.xlarge",), description="Instance types a batch transform of it may have."
    )


class Approval(Section):
    """The person's decision."""

    timeout_hours: int = Field(default=168, ge=1, le=8760, description="Hours from the registration to the deadline.")
    on_timeout: Literal["fail", "reject", "expire"] = Field(
        default="fail",
        description="At the deadline: fail the run, reject the version in the registry, or expire: skip what follows "
        "and leave the version pending. It never approves.",
    )
    on_rejected: Literal["skip", "fail"] = Field(
        default="skip", description="After a rejection: skip what follows (the run succeeds), or fail the run."
    )


class ModelConfig(Section):
    """`model.yaml`, with the environment's overrides applied and the image resolved."""

    model: ModelName = Field(description="The model's name; its folder has the same.")
    problem: Problem = Field(description="What is learned; decides which metrics evaluation.json holds.")
    first_period: PeriodText = Field(
        description="First month a run can be about, YYYY-MM; there is raw data before it."
    )
    image: Annotated[Image, BeforeValidator(_short_image, json_schema_input_type=str | Image)] = Field(
        description="Container image of the jobs and the endpoint."
    )
    description: str = Field(
        default="", max_length=512, description="One sentence, shown in Airflow and in the registry."
    )
    owner: TagText = Field(default="unassigned", description="Who owns the model; owner of the DAG, tag.")
    team: TagText = Field(default="unassigned", description="Tag.")
    cost_center: TagText = Field(default="unassigned", description="Tag; in quotes if it is a number.")
    data: Data = Field(default_factory=Data, description="Raw data.")
    preprocess: Preprocess = Field(default_factory=Preprocess, description="Processing job.")
    train: Train = Field(default_factory=Train, description="Training job.")
    evaluate: Evaluate = Field(default_factory=Evaluate, description="Processing job.")
    quality_gate: QualityGate = Field(default_factory=QualityGate, description="Thresholds.")
    registration: Register = Field(alias="register", default_factory=Register, description="Model Registry.")
    approval: Approval = Field(default_factory=Approval, description="Decision of a person.")
    deploy: Deploy = Field(default_factory=Deploy, description="Endpoint, or monthly batch scoring.")
    verify: Verify = Field(default_factory=Verify, description="Check after deployment.")

    @property
    def slug(self) -> str:
        """The name as SageMaker's resources may have it: `flight-delay`."""
        return self.model.replace("_", "-").strip("-")

    @property
    def group(self) -> str:
        """Name of the model package group; may contain {env}."""
        return self.registration.group or self.slug

    @property
    def endpoint(self) -> str:
        """Name of the endpoint; may contain {env}."""
        return self.deploy.endpoint or f"{self.slug}-{{env}}"

    @property
    def gate_metric(self) -> str:
        """The metric that decides between champion and challenger."""
        return self.quality_gate.metric or DEFAULT_METRICS[self.problem]

    @property
    def gate_metrics(self) -> dict[tuple[str, ...], str]:
        """Every metric that the gate looks at, by its key."""
        gate = self.quality_gate
        named: dict[tuple[str, ...], str] = {("quality_gate", "metric"): self.gate_metric}
        named |= {("quality_gate", "minimum", metric): metric for metric in gate.minimum}
        return named | {("quality_gate", "maximum", metric): metric for metric in gate.maximum}

    @property
    def gate_direction(self) -> Direction:
        """`maximize` or `minimize`, of `gate_metric`."""
        return self.quality_gate.direction or known_metrics(self.problem)[self.gate_metric]

    @model_validator(mode="after")
    def direction_is_known(self) -> Self:
        """A metric taken the wrong way round lets worse models pass."""
        metric, known, stated = self.gate_metric, known_metrics(self.problem), self.quality_gate.direction
        if metric not in known and stated is None:
            raise ValueError(
                f"quality_gate.metric: {metric!r} is not a known metric of {self.problem}: "
                f"{did_you_mean(metric, known, 'those are')}; with a metric of your own, say "
                "`direction: maximize` or `minimize` as well"
            )
        if stated and known.get(metric, stated) != stated:
            more = "more" if known[metric] == "maximize" else "less"
            raise ValueError(f"quality_gate.direction: {more} {metric} is better, got {stated}; leave the key out")
        return self
