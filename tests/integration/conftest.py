"""Fixtures of the tests of the package against the local SageMaker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.doctor_kit import World
from tests.kits.iam import allows, asks, policy, recorded_calls


@pytest.fixture
def as_dag_role(aws_connection: None) -> Iterator[None]:
    """What Airflow calls in the test must be allowed by include/iam/dag-role.json: the local SageMaker asks nobody."""
    with recorded_calls() as calls:
        yield
    assert calls, "the test made no call through an Airflow connection"
    role = policy("dag-role")
    assert [ask for call in calls for ask in asks(call) if not allows(role, ask)] == []


@pytest.fixture
def world(sagemaker_local: LocalSageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An account in order, as `doctor` finds it."""
    for name, value in sagemaker_local.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return World(sagemaker_local, tmp_path)
