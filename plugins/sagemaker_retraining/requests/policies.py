"""The IAM policies of `include/iam/`, filled in for an environment and the models in it.

Where each action comes from: docs/iam.md, and
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html (execution roles),
https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html (auto scaling).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from sagemaker_retraining.config import EnvironmentConfig, ModelConfig, project_root
from sagemaker_retraining.s3_uri import split_s3_uri

Statement = dict[str, Any]
"""A statement as IAM's policy language has it: who may do what with what, under which conditions."""


class Policy(TypedDict):
    """An IAM policy document."""

    Version: str
    Statement: list[Statement]


DAG_ROLE, APPROVER, JOB_ROLE, HOSTING_ROLE = "dag-role", "approver", "job-role", "hosting-role"
TRUST = "execution-role.trust"
_REGISTRY = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)")


def policies(
    environment: EnvironmentConfig,
    models: Iterable[ModelConfig] = (),
    *,
    root: Path | None = None,
    prefix: str = "",
) -> dict[str, Policy]:
    """By name: dag-role, approver, job-role, and hosting-role where that is a role of its own.

    Without one, job-role has what hosting needs as well. `models` say where data lie elsewhere, which images are pulled
    and which topics are notified; `prefix` is how the names of all jobs, groups, models and endpoints begin. Statements
    about what the environment has not (keys, a VPC, topics) are left out.
    """
    filled = _Filled(environment, tuple(models), root or project_root(), prefix)
    made = {name: filled.document(name) for name in (DAG_ROLE, APPROVER, JOB_ROLE, HOSTING_ROLE)}
    if environment.hosting_role_arn == environment.role_arn:
        statements = made[JOB_ROLE]["Statement"]
        known = {statement["Sid"] for statement in statements}
        statements += [more for more in made.pop(HOSTING_ROLE)["Statement"] if more["Sid"] not in known]
    return made


def trust_policy(environment: EnvironmentConfig, *, root: Path | None = None) -> Policy:
    """Who may assume the execution roles: SageMaker, for this account."""
    return _Filled(environment, (), root or project_root(), "").document(TRUST)


class _Filled:
    """The files of `include/iam/` with the values of an environment."""

    def __init__(
        self, environment: EnvironmentConfig, models: tuple[ModelConfig, ...], root: Path, prefix: str
    ) -> None:
        self._folder, self._environment = root / "iam", environment
        self._texts = {
            "ACCOUNT_ID": environment.account,
            "REGION": environment.region,
            "URL_SUFFIX": "amazonaws.com.cn" if environment.partition == "aws-cn" else "amazonaws.com",
            "BUCKET": environment.bucket,
            "S3_PREFIX": environment.key_prefix,
            "MODEL_PREFIX": prefix,
        }
        start = f"arn:{environment.partition}"
        elsewhere = sorted(_elsewhere(environment, models))
        keys = (
            environment.kms_key_arn,
            environment.volume_kms_key_arn,
            environment.output_kms_key_arn,
            environment.capture_kms_key_arn,
        )
        repositories = [f"{start}:ecr:{found}" for model in models for found in _repository(model.image.uri)]
        self._lists = {
            "EXECUTION_ROLES": _unique([environment.role_arn, environment.hosting_role_arn]),
            "KMS_KEYS": _unique(keys),
            "VOLUME_KEY": _unique([environment.volume_kms_key_arn]),
            "OTHER_BUCKETS": _unique(f"{start}:s3:::{bucket}" for bucket, _ in elsewhere),
            "OTHER_DATA": [f"{start}:s3:::{bucket}/{key}*" for bucket, key in elsewhere],
            # SageMaker's own stay: a version that was registered with one may serve again.
            "IMAGES": _unique([f"{start}:ecr:{environment.region}:*:repository/sagemaker-*", *repositories]),
            "TOPICS": _unique(topic for model in models for topic in _topics(model)),
        }

    def document(self, name: str) -> Policy:
        """The file without the statements that are about nothing here."""
        document: Policy = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        statements = [self._fill(statement) for statement in document["Statement"]]
        document["Statement"] = [statement for statement in statements if self._is_needed(statement)]
        return document

    def _is_needed(self, statement: Statement) -> bool:
        if statement.get("Sid") == "Network" and self._environment.vpc is None:
            return False
        return statement.get("Resource") != []

    def _fill(self, value: Any) -> Any:
        """Texts with their placeholders filled in; one that stands for a list becomes its members."""
        if isinstance(value, dict):
            return {key: self._fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [filled for item in value for filled in self._lists.get(item, [self._fill(item)])]
        if value in self._lists:
            return self._lists[value]
        text = re.sub("|".join(self._texts), lambda found: self._texts[found[0]], value)
        return re.sub("^arn:aws:", f"arn:{self._environment.partition}:", text)


def _unique(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _elsewhere(environment: EnvironmentConfig, models: Iterable[ModelConfig]) -> set[tuple[str, str]]:
    """(bucket, key prefix) of what models read outside the environment's own prefix."""
    own = environment.uri("")
    found = set()
    for model in models:
        batch = model.deploy.batch
        for uri in (model.data.raw_uri, batch.input_uri if batch else None):
            if uri and not uri.startswith(own):
                found.add(split_s3_uri(uri.split("{", 1)[0]))
    return found


def _topics(model: ModelConfig) -> list[str | None]:
    asynchronous = model.deploy.asynchronous
    return [asynchronous.success_topic_arn, asynchronous.error_topic_arn] if asynchronous else []


def _repository(uri: str | None) -> list[str]:
    """`<region>:<account>:repository/<name>` of an image in ECR; no policy of AWS is about any other."""
    found = _REGISTRY.match(uri or "")
    return [f"{found[2]}:{found[1]}:repository/{found[3]}"] if found else []
