"""One run of one model: what it is called, where its files are, and under which tags."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sagemaker_retraining.config import EnvironmentConfig, ModelConfig
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan.code_package import CodePackage
from sagemaker_retraining.plan.document import PlannedChampion, RunFacts
from sagemaker_retraining.plan.names import clean_tag, fingerprint, job_name, short_hash, tag_list
from sagemaker_retraining.s3_uri import s3_uri

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import TagTypeDef


class PlanError(ValueError):
    """A run that cannot be planned; the message says why."""


@dataclass(frozen=True)
class Champion:
    """The version to be compared with: the newest approved one that has not seen the run's month.

    `artifact` is the URI of its model.tar.gz; None when there is no such object any more.
    """

    arn: str
    artifact: str | None
    version: int | None = None

    def to_dict(self) -> PlannedChampion:
        """As plan.json has it."""
        return {"arn": self.arn, "artifact": self.artifact, "version": self.version}


@dataclass(frozen=True)
class RunPlan:
    """Everything that is decided before the first job starts. Nothing of it changes while the run waits."""

    model: ModelConfig
    environment: EnvironmentConfig
    period: Period
    dag_id: str
    run_id: str
    git_sha: str
    code: CodePackage
    champion: Champion | None = None

    @cached_property
    def run_key(self) -> str:
        """Short hash of the run: of its environment, where that writes, DAG and run id.

        A scheduled run has the same ids in every environment, and environments may share an account, in which names of
        jobs are unique, or a bucket.
        """
        where = self.environment
        return short_hash(where.environment, where.bucket, where.key_prefix, self.dag_id, self.run_id)

    @property
    def prefix(self) -> str:
        """Key prefix of everything this run writes."""
        return f"{self.environment.key_prefix}{self.model.model}/runs/{self.period}/{self.run_key}/"

    def uri(self, path: str) -> str:
        """`s3://<bucket>/<the environment's prefix>/<path>`"""
        return self.environment.uri(path)

    def run_uri(self, path: str) -> str:
        """The URI of a path of this run, such as `plan.json` or `preprocess/train/`."""
        return s3_uri(self.environment.bucket, f"{self.prefix}{path}")

    @property
    def checkpoints_uri(self) -> str:
        """Where checkpoints of every try of this run lie: the prefix is what makes a job resume."""
        return self.uri(f"{self.model.model}/checkpoints/{self.run_key}/")

    @property
    def code_prefix(self) -> str:
        """URI prefix of the code, by its content."""
        return self.uri(f"{self.model.model}/code/{self.code.sha256}/")

    @property
    def raw_uri(self) -> str:
        """The prefix with `period=YYYY-MM/`."""
        return raw_uri(self.model, self.environment)

    def job_name(self, step: str) -> str:
        """The name of a step's job."""
        return job_name(self.model.slug, step, self.period, self.run_key)

    @property
    def model_artifact(self) -> str:
        """Where the training job's first generation leaves model.tar.gz."""
        return self.run_uri(f"model/{self.job_name('train')}/output/model.tar.gz")

    def in_environment(self, template: str) -> str:
        """A name from the configuration with its {env} filled in."""
        return template.replace("{env}", self.environment.environment)

    @property
    def endpoint(self) -> str:
        """Name of the endpoint."""
        return self.in_environment(self.model.endpoint)

    @property
    def group(self) -> str:
        """Name of the model package group."""
        return self.in_environment(self.model.group)

    @cached_property
    def tags(self) -> dict[str, str]:
        """The ten tags of everything a run makes (an S3 object takes no more)."""
        tags = {
            "project": self.environment.project,
            "model": self.model.model,
            "env": self.environment.environment,
            "team": self.model.team,
            "owner": self.model.owner,
            "pipeline": self.dag_id,
            "run_id": self.run_id,
            "period": str(self.period),
            "git_sha": self.git_sha,
            "cost_center": self.model.cost_center,
        }
        return {key: clean_tag(value) for key, value in tags.items()}

    @property
    def resource_tags(self) -> list[TagTypeDef]:
        """`tags` and the environment's own, as SageMaker takes them."""
        return tag_list({**self.environment.tags, **self.tags})

    def facts(self) -> RunFacts:
        """The plan without its requests, ready for JSON."""
        return {
            "model": self.model.model,
            "period": str(self.period),
            "environment": self.environment.environment,
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "run_key": self.run_key,
            "git_sha": self.git_sha,
            "bucket": self.environment.bucket,
            "prefix": self.prefix,
            "plan_uri": self.run_uri("plan.json"),
            "checkpoints_uri": self.checkpoints_uri,
            "code": {
                "sha256": self.code.sha256,
                "files_uri": f"{self.code_prefix}files/",
                "archive_uri": f"{self.code_prefix}sourcedir.tar.gz",
            },
            "fingerprints": {
                "model": fingerprint(self.model.model_dump(mode="json", by_alias=True)),
                "environment": fingerprint(
                    self.environment.model_dump(mode="json", exclude={"models", "poll_seconds"})
                ),
                "code": self.code.sha256,
            },
            "tags": self.tags,
            "champion": self.champion.to_dict() if self.champion else None,
        }


def raw_uri(model: ModelConfig, environment: EnvironmentConfig) -> str:
    """The prefix with `period=YYYY-MM/`: every run of the model reads there."""
    return model.data.raw_uri or environment.uri(f"{model.model}/raw/")


def build_plan(
    model: ModelConfig,
    environment: EnvironmentConfig,
    period: Period,
    *,
    dag_id: str,
    run_id: str,
    git_sha: str,
    code: CodePackage,
    champion: Champion | None = None,
) -> RunPlan:
    """Decide a run. Raises PlanError for a month before the model's first."""
    if str(period) < model.first_period:
        raise PlanError(
            f"{model.model}: period {period} is before first_period {model.first_period} of its model.yaml; "
            f"there is no earlier month to learn from"
        )
    return RunPlan(model, environment, period, dag_id, run_id, git_sha, code, champion)
