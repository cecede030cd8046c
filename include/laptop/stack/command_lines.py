"""Command lines for the local SageMaker that are printed for a person to copy; any credentials will do there."""

from __future__ import annotations

from include.laptop.layout import REGION


def aws_cli(endpoint: str) -> str:
    """The AWS CLI."""
    return f"env {_variables(endpoint, 'local')} aws"


def project_cli(endpoint: str) -> str:
    """The project's command line, as somebody who may approve."""
    return f"env RETRAINING_ENV=local {_variables(endpoint, 'approver')} .venv/bin/python -m sagemaker_retraining"


def _variables(endpoint: str, access_key: str) -> str:
    return (
        f"AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={REGION} "
        f"AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY=local"
    )
