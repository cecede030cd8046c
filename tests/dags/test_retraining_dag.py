"""The DAG: it loads, has the tasks and the shape that people rely on, and a broken model breaks only its own DAG."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from airflow.sdk import DAG, RetryAction, TaskGroup
from airflow.sdk.exceptions import ParamValidationError

from sagemaker_retraining.config import ConfigError
from sagemaker_retraining.config.model import Retry
from sagemaker_retraining.dags import retraining_dag
from sagemaker_retraining.dags.retries import retry_arguments
from sagemaker_retraining.outcomes import AlgorithmError, CapacityError, JobStopped, ServiceFault, SpotTimeout
from sagemaker_retraining.requests import RequestError

REPOSITORY = Path(__file__).parents[2]
CHAIN = [
    "plan",
    "data_ready",
    "preprocess",
    "train",
    "evaluate",
    "quality_gate",
    "register",
    "approval",
    "deploy",
    "verify",
]


@pytest.fixture(scope="module")
def dag() -> DAG:
    return retraining_dag("flight_delay")


def test_the_tasks_are_one_chain(dag: DAG) -> None:
    assert sorted(dag.task_ids) == sorted([*CHAIN, "review", "cleanup"])
    for task, following in pairwise(CHAIN):
        assert following in dag.get_task(task).downstream_task_ids
    assert dag.get_task("verify").downstream_task_ids == {"cleanup"}


def test_review_is_a_leaf_beside_approval(dag: DAG) -> None:
    """What follows a decision hangs on the task that sees every channel."""
    review, approval = dag.get_task("review"), dag.get_task("approval")
    assert (review.upstream_task_ids, review.downstream_task_ids) == ({"evaluate", "quality_gate", "register"}, set())
    assert approval.review_task_id == "review"
    assert review.approver_conn_id == "aws_approver"
    assert list(review.params) == ["reason"]
    review.params.get_param("reason").resolve(None)  # a form whose text must not be empty keeps Approve disabled
    assert review.timeout_seconds == approval.timeout_seconds == 168 * 3600


def test_groups_do_not_change_the_ids(dag: DAG) -> None:
    groups = {
        name: set(group.children) for name, group in dag.task_group.children.items() if isinstance(group, TaskGroup)
    }
    assert groups == {
        "build": {"data_ready", "preprocess", "train", "evaluate"},
        "release": {"quality_gate", "register", "approval", "review"},
        "serve": {"deploy", "verify", "cleanup"},
    }


def test_waiting_tasks_are_deferrable(dag: DAG) -> None:
    assert all(dag.get_task(task).deferrable for task in ("preprocess", "train", "evaluate"))


def test_preprocess_reads_the_manifest_that_was_written(dag: DAG) -> None:
    """Its name follows the data; the plan cannot know it."""
    pulled = "{{ ti.xcom_pull(task_ids='data_ready')['manifest_uri'] }}"
    assert dag.get_task("preprocess").s3_uris == {"raw": pulled}


def test_a_run_by_hand_may_name_its_month(dag: DAG) -> None:
    assert dag.params["period"] is None
    for good in (None, "2013-11"):
        dag.params.get_param("period").resolve(good)
    for bad in ("2013-13", "2013", 201311):
        with pytest.raises(ParamValidationError):
            dag.params.get_param("period").resolve(bad)


def test_a_missing_model_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match="flight_dely"):
        retraining_dag("flight_dely")


def test_every_file_in_dags_loads_without_heavy_imports() -> None:
    """A DAG file must not drag in what only jobs and tools need: each task's process pays for it."""
    code = (
        "import runpy, sys\n"
        f"for path in {[str(path) for path in sorted((REPOSITORY / 'dags').glob('*.py'))]!r}:\n"
        "    runpy.run_path(path)\n"
        "print(sorted({'pandas', 'sagemaker', 'xgboost', 'moto', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (SpotTimeout("x"), RetryAction.RETRY),
        (CapacityError("x"), RetryAction.RETRY),
        (ServiceFault("x"), RetryAction.RETRY),
        (JobStopped("x"), RetryAction.FAIL),
        (AlgorithmError("x"), RetryAction.FAIL),
        (RequestError(["x"]), RetryAction.FAIL),
        (ConnectionError("x"), RetryAction.DEFAULT),
    ],
)
def test_what_is_tried_again(dag: DAG, error: Exception, action: RetryAction) -> None:
    policy = dag.get_task("train").retry_policy
    assert policy.evaluate(error, try_number=1, max_tries=3).action is action


def test_the_model_says_what_is_tried_again() -> None:
    arguments = retry_arguments(Retry(count=7, delay_seconds=5, on=("algorithm_error",)))
    assert (arguments["retries"], arguments["retry_delay"].total_seconds()) == (7, 5)
    policy = arguments["retry_policy"]
    assert policy.evaluate(AlgorithmError("x"), 1, 3).action is RetryAction.RETRY
    assert policy.evaluate(SpotTimeout("x"), 1, 3).action is RetryAction.FAIL
