"""DAG runs of the suite: start one, follow it, interfere with it as a user can."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

from include.laptop.run.task_logs import last_lines
from include.laptop.stack.airflow_api import AirflowApi, Task
from sagemaker_retraining.plan.document import PlanDocument
from tests.chaos.cloud import Cloud
from tests.chaos.project import PERIOD
from tests.chaos.waiting import NotHeld, until

RUN_SECONDS = 600
STEP_SECONDS = 240
CONFLICT = 409


class Api(AirflowApi):
    """Airflow's REST API with what a user's clicks do, each again while SQLite is busy."""

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, object]) -> None:
        """*Trigger*."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self._set("POST", f"dags/{dag_id}/dagRuns", body, fine=CONFLICT)  # a try before this one may have done it

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """*Mark state as …*"""
        self._set("PATCH", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """*Clear task*, and what comes after it."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self._set("POST", f"dags/{dag_id}/clearTaskInstances", body)

    def delete(self, path: str) -> int:
        """*Delete*; the status of the answer. Raises httpx.HTTPError unless it is done or refused for now."""
        return self._set("DELETE", path, None, fine=CONFLICT)

    def instance_id(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The id of the task's present try."""
        return str(self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")["id"])


class Run:
    """One run of a variant's DAG."""

    _numbers = itertools.count(1)

    def __init__(self, api: Api, cloud: Cloud, variant: str) -> None:
        self.api = api
        self.cloud = cloud
        self.variant = variant
        self.dag_id = f"{variant}_retraining"
        self.id = f"chaos_{next(self._numbers)}_{int(time.time())}"
        until(f"{self.dag_id} is loaded", self.is_loaded, STEP_SECONDS)
        api.unpause(self.dag_id)
        api.trigger(self.dag_id, self.id, {"period": PERIOD})

    def is_loaded(self) -> bool:
        """Whether Airflow has read the DAG. Raises NotHeld with what it says when it cannot."""
        for trace in self.api.import_errors().values():
            raise NotHeld(trace)
        return self.api.has_dag(self.dag_id)

    @property
    def plan(self) -> PlanDocument:
        """What the plan task returned, once it has."""
        found: PlanDocument = until("the plan", lambda: self.returned("plan"), STEP_SECONDS)
        return found

    def job_name(self, step: str = "train") -> str:
        """The name of a step's job, without generation."""
        if step == "train":
            return self.plan["train"]["TrainingJobName"]
        return self.plan["preprocess" if step == "preprocess" else "evaluate"]["ProcessingJobName"]

    def jobs(self, step: str = "train") -> list[str]:
        """The jobs that were created for a step: one, unless there were further generations."""
        return self.cloud.jobs(step, self.job_name(step))

    def returned(self, task: str) -> Any:
        """A task's XCom."""
        return self.api.xcom(self.dag_id, self.id, task)

    def registered(self) -> str | None:
        """The ARN of the run's model version, once there is one. Raises NotHeld when a task has failed instead."""
        self.tasks()
        result = self.returned("register")
        return result and str(result["model_package_arn"])

    def task(self, task_id: str) -> Task:
        """A task's state and tries."""
        return self.api.tasks(self.dag_id, self.id)[task_id]

    def log(self, task_id: str) -> str:
        """The end of the log of the task's last try."""
        return "\n".join(last_lines(self.dag_id, self.id, task_id, count=30))

    def wait_for_training(self, state: str) -> str:
        """Wait until train is `deferred` or `running` and its job has done a round; the job's name."""
        name = self.job_name()
        until(f"train is {state}", lambda: self.has_come_to(state), STEP_SECONDS)
        until(f"{name} trains", lambda: bool(self.cloud.rounds(name)), STEP_SECONDS)
        return name

    def has_come_to(self, state: str) -> bool:
        """Whether train is in this state. Raises NotHeld when a task has failed instead."""
        return self.tasks()["train"].state == state

    def tasks(self) -> dict[str, Task]:
        """All tasks. Raises NotHeld when one has failed."""
        tasks = self.api.tasks(self.dag_id, self.id)
        for name, task in tasks.items():
            if task.state == "failed":
                raise NotHeld(f"{name} failed:\n{self.log(name)}")
        return tasks

    def end(self, seconds: float = RUN_SECONDS) -> str:
        """The state in which the run ends; its model version is approved as soon as it is there."""

        def look() -> str | None:
            state = self.api.run_state(self.dag_id, self.id)
            if state == "running" and self.task("approval").state in ("running", "deferred"):
                self.cloud.approve(self.returned("register")["model_package_arn"])
            return state if state in ("success", "failed") else None

        return until(f"{self.dag_id} {self.id} ends", look, seconds)

    def mark(self, task_id: str, state: str) -> None:
        """As a user marks a task."""
        self.api.set_state(self.dag_id, self.id, task_id, state)

    def clear(self, task_id: str) -> None:
        """As a user clears a task."""
        self.api.clear(self.dag_id, self.id, task_id)

    def give_up(self) -> None:
        """As a user marks the run failed."""
        self.api.give_up(self.dag_id, self.id)

    def delete(self) -> int:
        """As a user deletes the run; the status of the answer."""
        return self.api.delete(f"dags/{self.dag_id}/dagRuns/{self.id}")

    def instance_id(self, task_id: str) -> str:
        """The id of the task's present try."""
        return self.api.instance_id(self.dag_id, self.id, task_id)
