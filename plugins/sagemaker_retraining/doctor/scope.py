"""What the checks look at: an environment, its models, and what their runs would ask of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sagemaker_retraining.config import EnvironmentConfig, ModelConfig
from sagemaker_retraining.doctor.identity import Caller
from sagemaker_retraining.plan import PlanDocument
from sagemaker_retraining.requests.policies import Policy


@dataclass(frozen=True)
class Scope:
    """What the checks need to know.

    `plans` are plan.json of each model's next run, `policies` those of include/iam, filled in. `dag_role` is the ARN of
    the role that the DAGs use; None when nobody said it, and the caller stands for it. `approver_role` is that of
    approver_conn_id, as far as it is known.
    """

    environment: EnvironmentConfig
    models: tuple[ModelConfig, ...]
    plans: Mapping[str, PlanDocument]
    policies: Mapping[str, Policy]
    caller: Caller
    dag_role: str | None = None
    approver_role: str | None = None

    def name(self, template: str) -> str:
        """A name from the configuration with its {env} filled in."""
        return template.replace("{env}", self.environment.environment)

    @property
    def role_users(self) -> dict[str, str]:
        """ARN of each execution role, and what runs as it."""
        where = self.environment
        if where.hosting_role_arn == where.role_arn:
            return {where.role_arn: "jobs, models and endpoints"}
        return {where.role_arn: "jobs", where.hosting_role_arn: "models and endpoints"}

    @property
    def keys(self) -> dict[str, str]:
        """Each KMS key's ARN, and the first key of the file that names it."""
        named: dict[str, str] = {}
        for name in ("kms_key_arn", "volume_kms_key_arn", "output_kms_key_arn", "capture_kms_key_arn"):
            if arn := getattr(self.environment, name):
                named.setdefault(arn, name)
        return named
