"""What the release tests do to a running Airflow, and how they look at it."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx
from botocore.config import Config

from tests.conftest import REPOSITORY

T = TypeVar("T")
PERIOD = "2024-02"
EFFECT_SECONDS = 60
"""A decision has its effect within so many seconds on a busy machine too; within 15 s where nothing else is at work."""
WAIT_SECONDS = 900
TRIES = 20
SETTLED_SECONDS = 3
"""Airflow takes a task for killed that is answered before its executor has reported that it waits."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def until(what: str, condition: Callable[[], T | None], seconds: float = WAIT_SECONDS) -> T:
    """What the condition returns as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.3)
    return value


class Release:
    """The stack of `python -m tests.e2e.release`."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"RETRAINING_LOCAL": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.release"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the stack did not start"
        self.connect(**json.loads(line), project=folder / "project")

    def connect(self, airflow: str, sagemaker: str, project: Path) -> None:
        """Log in everywhere."""
        self.airflow, self.sagemaker_url, self.project = airflow, sagemaker, project
        self.http = httpx.Client(base_url=airflow, trust_env=False, timeout=60)
        self.log_in("admin")
        config = Config(proxies={}, retries={"total_max_attempts": 5})
        session: Any = boto3.Session("somebody", "local", region_name="us-east-1")
        self.api = session.client("sagemaker", endpoint_url=sagemaker, config=config)

    def log_in(self, user: str) -> None:
        """Requests are this user's from now on."""
        answer = self.http.post("/auth/token", json={"username": user, "password": user})
        self.http.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"

    def stop(self) -> None:
        """End the stack."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def get(self, path: str, **parameters: Any) -> Any:
        """GET under /api/v2; None when it does not exist."""
        answer = self.send("GET", path, params=parameters)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A request under /api/v2; again when Airflow's SQLite was locked, which it answers with 500."""
        for _ in range(TRIES):
            answer = self.http.request(method, f"/api/v2/{path}", **request)
            if answer.status_code != 500:
                break
            time.sleep(1)
        return answer

    def start(self, model: str, period: str = PERIOD, **conf: Any) -> Run:
        """A run by hand."""
        dag = f"{model}_retraining"
        until(f"{dag} is loaded", lambda: self.get(f"dags/{dag}"))
        self.send("PATCH", f"dags/{dag}", json={"is_paused": False}).raise_for_status()
        run_id = f"{model}_{period}_{time.time_ns()}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {"period": period, **conf}}
        self.send("POST", f"dags/{dag}/dagRuns", json=body).raise_for_status()
        return Run(self, model, run_id)

    def backfill(self, model: str, first_day: str) -> Run:
        """Airflow's own backfill of the one month that begins on this day; its run."""
        dag = f"{model}_retraining"
        body = {
            "dag_id": dag,
            "from_date": f"{first_day}T00:00:00Z",
            "to_date": f"{first_day[:8]}28T00:00:00Z",
            "reprocess_behavior": "none",
            "max_active_runs": 1,
        }
        self.send("POST", "backfills", json=body).raise_for_status()
        found = until("the backfill's run", lambda: self.get(f"dags/{dag}/dagRuns", run_type="backfill")["dag_runs"])
        assert len(found) == 1
        return Run(self, model, found[0]["dag_run_id"])

    def open_actions(self, model: str) -> int:
        """How many actions of all runs of a model's DAG wait for somebody."""
        found = self.get(f"dags/{model}_retraining/dagRuns/~/hitlDetails", state="awaiting_input")
        count: int = found["total_entries"]
        return count

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The project's command line, with boto3's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))}
        environment = kept | {
            "RETRAINING_HOME": str(self.project),
            "AWS_ENDPOINT_URL": self.sagemaker_url,
            "AWS_ACCESS_KEY_ID": "cli",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        line = [sys.executable, "-m", "sagemaker_retraining", *arguments]
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)


class Run:
    """One run of a model's DAG."""

    def __init__(self, release: Release, model: str, run_id: str) -> None:
        self.release = release
        self.model = model
        self.id = run_id
        self.path = f"dags/{model}_retraining/dagRuns/{run_id}"

    @property
    def state(self) -> str:
        """Of the run."""
        return str(self.release.get(self.path)["state"])

    def states(self) -> dict[str, str]:
        """Task → state."""
        found = self.release.get(f"{self.path}/taskInstances", limit=100)["task_instances"]
        return {task["task_id"]: task["state"] or "" for task in found}

    def wait_for_review(self) -> Run:
        """Until the version is registered, the sensor waits and the action has been open for SETTLED_SECONDS."""
        since: float | None = None

        def look() -> bool:
            nonlocal since
            states = self.states()
            failed = [task for task, state in states.items() if state in ("failed", "upstream_failed")]
            assert not failed, f"{failed[0]}: {self.log(failed[0])}"
            waits = (states.get("approval"), states.get("review")) == ("deferred", "awaiting_input")
            since = (since or time.monotonic()) if waits else None
            return since is not None and time.monotonic() - since >= SETTLED_SECONDS

        until(f"{self.id} waits for a decision", look)
        return self

    def end(self, seconds: float = WAIT_SECONDS) -> str:
        """The state in which the run ends."""
        return until(f"{self.id} ends, {self.states()}", self.ended, seconds)

    def ended(self) -> str | None:
        """The run's last state, or None."""
        state = self.state
        return state if state in ("success", "failed") else None

    def returned(self, task: str) -> Any:
        """A task's XCom."""
        found = self.release.get(f"{self.path}/taskInstances/{task}/xcomEntries/return_value", stringify=False)
        return found and found["value"]

    def arn(self) -> str:
        """The run's version."""
        return str(self.returned("register")["model_package_arn"])

    def package(self) -> dict[str, Any]:
        """The run's version as the registry describes it."""
        found: dict[str, Any] = self.release.api.describe_model_package(ModelPackageName=self.arn())
        return found

    def tries(self, task: str) -> int:
        """How often a task was tried."""
        return int(self.release.get(f"{self.path}/taskInstances/{task}")["try_number"])

    def log(self, task: str) -> str:
        """The log of the last try of a task."""
        tries = self.tries(task)
        found = self.release.get(f"{self.path}/taskInstances/{task}/logs/{tries}", full_content=True)
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in found["content"])

    def answer(self, choice: str, reason: str | None) -> httpx.Response:
        """Answer the action through Airflow's REST API."""
        body = {"chosen_options": [choice], "params_input": {"reason": reason}}
        return self.release.send("PATCH", f"{self.path}/taskInstances/review/-1/hitlDetails", json=body)


def local_user() -> str:
    """Who runs the tests."""
    return getpass.getuser()
