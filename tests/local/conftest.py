"""Airflow's connection to the local SageMaker."""

from __future__ import annotations

import json

import pytest

from tests.conftest import LocalSageMaker


@pytest.fixture
def aws_connection(sagemaker_local: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws_default` points at the local SageMaker, as a user's connection does."""
    extra = {"region_name": "us-east-1", "endpoint_url": sagemaker_local.url}
    value = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(value))
