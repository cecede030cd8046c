"""Airflow's connection to the local SageMaker."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import LocalSageMaker
from tests.iam import allows, asks, policy, recorded_calls


@pytest.fixture
def aws_connection(sagemaker_local: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws_default` points at the local SageMaker, as a user's connection does."""
    extra = {"region_name": "us-east-1", "endpoint_url": sagemaker_local.url}
    value = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(value))


@pytest.fixture
def as_dag_role(aws_connection: None) -> Iterator[None]:
    """What Airflow calls in the test must be allowed by include/iam/dag-role.json: the local SageMaker asks nobody."""
    with recorded_calls() as calls:
        yield
    assert calls, "the test made no call through an Airflow connection"
    role = policy("dag-role")
    assert [ask for call in calls for ask in asks(call) if not allows(role, ask)] == []
