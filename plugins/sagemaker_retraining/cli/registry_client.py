"""How the commands reach the Model Registry: by boto3 with the usual AWS settings, no Airflow connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sagemaker_retraining.config import load_environment, load_model


def sagemaker_client(environment: str | None) -> tuple[Any, Callable[[], str]]:
    """A SageMaker client in the environment's region, and a function that asks who the caller is (an ARN).

    Raises ConfigError for a wrong environment file.
    """
    import boto3

    session: Any = boto3.Session(region_name=load_environment(environment).region)

    def identity() -> str:
        return str(session.client("sts").get_caller_identity()["Arn"])

    return session.client("sagemaker"), identity


def group_of(model: str, environment: str | None) -> str:
    """The model's group in the environment. Raises ConfigError for an unknown model."""
    name = load_environment(environment).environment
    return load_model(model, environment=environment).group.replace("{env}", name)
