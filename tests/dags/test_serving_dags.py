"""The DAGs that change production: what people may ask of them, and what their ends mean for the run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from sagemaker_retraining.dags import promotion_dag, retraining_dag, rollback_dag
from tests.kits.project import ENVIRONMENT, MODEL, ExampleProject

CHAINS = {
    "rollback": ["plan", "deploy", "verify", "record"],
    "promotion": ["plan", "promote", "approval", "deploy", "verify", "record"],
}
BUILDERS = {"rollback": rollback_dag, "promotion": promotion_dag}


@pytest.fixture(params=list(CHAINS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dag(kind: str) -> DAG:
    return BUILDERS[kind]("flight_delay")


def test_the_tasks_are_one_chain(dag: DAG, kind: str) -> None:
    assert dag.dag_id == f"flight_delay_{kind}"
    assert sorted(dag.task_ids) == sorted([*CHAINS[kind], "cleanup"])
    for task, following in pairwise(CHAINS[kind]):
        assert following in dag.get_task(task).downstream_task_ids


def test_people_start_it_one_at_a_time(dag: DAG) -> None:
    assert dag.max_active_runs == 1
    assert type(dag.timetable).__name__ == "NullTimetable"


def test_a_reason_is_asked_for(dag: DAG) -> None:
    reason = dag.params.get_param("reason")
    reason.resolve("too many false alarms")
    for bad in ("", None, "x" * 151, "    ", " a "):
        with pytest.raises(ParamValidationError):
            reason.resolve(bad)


def test_a_version_may_be_left_out_of_a_rollback_only() -> None:
    version = rollback_dag("flight_delay").params.get_param("version")
    for good in (None, 7):
        version.resolve(good)
    for bad in (0, "7"):
        with pytest.raises(ParamValidationError):
            version.resolve(bad)
    with pytest.raises(ParamValidationError):
        promotion_dag("flight_delay").params.get_param("version").resolve(None)


@pytest.mark.parametrize("builder", [retraining_dag, rollback_dag, promotion_dag])
def test_cleaning_up_follows_a_deployment_and_decides_nothing(builder: object) -> None:
    assert callable(builder)
    dag = builder("flight_delay")
    cleanup = dag.get_task("cleanup")
    assert cleanup.is_teardown
    assert not cleanup.on_failure_fail_dagrun
    assert dag.get_task("deploy").is_setup
    assert "verify" in cleanup.upstream_task_ids
    assert cleanup.trigger_rule == "all_done_setup_success"


def test_a_batch_model_scores_instead_of_serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = ExampleProject(tmp_path)
    project.write_model(f"{MODEL}deploy: {{kind: batch}}\n")
    project.write_environment(ENVIRONMENT)
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    dag = retraining_dag("demo_model")
    assert dag.get_task("approval").downstream_task_ids == {"transform"}
    assert not {"deploy", "verify", "cleanup"} & set(dag.task_ids)
    assert dag.get_task("transform").deferrable
