"""The plan task: what cannot be planned ends it before anything is sent or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.tasks.plan import create_plan
from tests.kits.project import ENVIRONMENT, PLAN_CONTEXT, ExampleProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExampleProject:
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    return ExampleProject(tmp_path)


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: Any, **__: Any) -> None:
        raise AssertionError("AWS was called")

    monkeypatch.setattr(RetrainingHook, "__init__", called)


@pytest.mark.usefixtures("no_aws")
def test_environments_that_share_places_run_nowhere(project: ExampleProject) -> None:
    project.write_environment(ENVIRONMENT.replace("environment: test", "environment: dev"), "dev")
    with pytest.raises(AirflowFailException, match=r"test\.yaml:4: bucket: .* include/environments/dev\.yaml:4 too"):
        create_plan("demo_model", PLAN_CONTEXT)


def test_a_neighbour_that_cannot_be_read_stops_nobody(project: ExampleProject, no_aws: None) -> None:
    project.write_environment("environment: [", "dev")
    with pytest.raises(AssertionError, match="AWS was called"):
        create_plan("demo_model", PLAN_CONTEXT)
