"""The few calls of Airflow's REST API that the driver needs (https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

import httpx

LOCKED_TRIES, LOCKED_PAUSE_SECONDS = 20, 0.5
"""How often a request is sent that SQLite was too busy for, and what lies between two of them."""

FINISHED = {"success", "failed", "upstream_failed", "skipped", "removed"}


class BackfillRequest(TypedDict):
    """Airflow's BackfillPostBody, of what it can hold what is used here; dates are ISO 8601."""

    dag_id: str
    from_date: str
    to_date: str
    reprocess_behavior: Literal["none", "failed", "completed"]
    max_active_runs: int


@dataclass(frozen=True)
class Task:
    """A task of a run: `state` as Airflow words it ("" when not yet scheduled), `tries`, and `seconds` it has taken."""

    id: str
    state: str
    tries: int
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def seconds(self) -> float:
        """From its first start to its end, or to now while it runs; waiting deferred counts."""
        if self.started_at is None:
            return 0.0
        end = self.ended_at or datetime.now(self.started_at.tzinfo)
        return max(0.0, (end - self.started_at).total_seconds())


@dataclass(frozen=True)
class Run:
    """A run of a DAG: `type` is backfill, scheduled or manual, `month` (YYYY-MM) that in which its interval starts."""

    id: str
    type: str
    state: str
    month: str
    seconds: float


class AirflowApi:
    """A logged-in client. Raises httpx.HTTPError for what fails."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=30)
        answer = self._http.post("/auth/token", json={"username": user, "password": password})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **parameters: Any) -> Any:
        """GET under /api/v2: Airflow's JSON as it is; None when it does not exist."""
        answer = self._http.get(f"/api/v2/{path}", params=parameters)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    def import_errors(self) -> dict[str, str]:
        """DAG files that Airflow could not load: file name → traceback."""
        return {error["filename"]: error["stack_trace"] for error in self.get("importErrors")["import_errors"]}

    def has_dag(self, dag_id: str) -> bool:
        """Whether Airflow has read the DAG."""
        return self.get(f"dags/{dag_id}") is not None

    def unpause(self, dag_id: str) -> None:
        """Let its runs start."""
        self._set("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Let no further run or task of it start."""
        self._set("PATCH", f"dags/{dag_id}", {"is_paused": True})

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, object]) -> None:
        """Start a run by hand with these parameters; without a logical date, as the UI's form does if left empty."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body).raise_for_status()

    def unfinished(self, dag_id: str, prefix: str) -> list[str]:
        """Ids of the runs that have not ended and whose id starts so."""
        found = self.get(f"dags/{dag_id}/dagRuns", state=["queued", "running"], limit=100)["dag_runs"]
        return [run["dag_run_id"] for run in found if run["dag_run_id"].startswith(prefix)]

    def runs_between(self, dag_id: str, first: datetime, last: datetime) -> list[Run]:
        """The runs with a logical date from `first` to `last`, in its order."""
        found: list[Run] = []
        while True:
            page = self.get(
                f"dags/{dag_id}/dagRuns",
                logical_date_gte=first.isoformat(),
                logical_date_lte=last.isoformat(),
                order_by="logical_date",
                limit=100,
                offset=len(found),
            )
            found += [run_from(item) for item in page["dag_runs"]]
            if len(found) >= page["total_entries"]:
                return found

    def backfill_months(self, body: BackfillRequest) -> list[str]:
        """The months (YYYY-MM) for which Airflow would start a run if this backfill were created; its dry run."""
        planned = self._backfill("backfills/dry_run", body)["backfills"]
        return [str(item["logical_date"])[:7] for item in planned]

    def create_backfill(self, body: BackfillRequest) -> int:
        """Have Airflow create a backfill and all its runs; the id. 409 when the DAG has one that is not over."""
        return int(self._backfill("backfills", body)["id"])

    def _backfill(self, path: str, body: BackfillRequest) -> Any:
        """POST, again while Airflow answers 503: it wants the database for itself, which on SQLite takes luck."""
        return self._repeat("POST", path, body, busy=range(503, 504)).raise_for_status().json()

    def _set(self, method: str, path: str, body: Mapping[str, object] | None, fine: int | None = None) -> int:
        """A change that may be sent twice: again while Airflow's own error (5xx) says that SQLite was busy.

        The answer's status, which is a good one or `fine`.
        """
        answer = self._repeat(method, path, body, busy=range(500, 600))
        if answer.status_code != fine:
            answer.raise_for_status()
        return answer.status_code

    def _repeat(self, method: str, path: str, body: Mapping[str, object] | None, busy: range) -> httpx.Response:
        for attempt in range(LOCKED_TRIES):
            if attempt:
                time.sleep(LOCKED_PAUSE_SECONDS)
            answer = self._http.request(method, f"/api/v2/{path}", json=body)
            if answer.status_code not in busy:
                break
        return answer

    def active_backfills(self, dag_id: str) -> list[int]:
        """Ids of the DAG's backfills that are not over; Airflow allows one."""
        newest = self.get("backfills", dag_id=dag_id, order_by="-id", limit=10)["backfills"]
        return [item["id"] for item in newest if item["completed_at"] is None]

    def cancel_backfill(self, backfill: int) -> None:
        """End a backfill: Airflow fails what is queued and lets what runs go on. One that is over stays as it is."""
        self._set("PUT", f"backfills/{backfill}/cancel", None, fine=409)

    def give_up(self, dag_id: str, run_id: str) -> None:
        """End a run as failed; what of it still runs is stopped by Airflow."""
        self._set("PATCH", f"dags/{dag_id}/dagRuns/{run_id}", {"state": "failed"})

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_order(self, dag_id: str) -> list[str]:
        """Task ids, each after those it depends on."""
        following = {task["task_id"]: task["downstream_task_ids"] for task in self.get(f"dags/{dag_id}/tasks")["tasks"]}
        order: list[str] = []
        while len(order) < len(following):
            waiting = [task for task in following if task not in order]
            blocked = {after for task in waiting for after in following[task]}
            order += [task for task in waiting if task not in blocked]
        return order

    def tasks(self, dag_id: str, run_id: str) -> dict[str, Task]:
        """All tasks of a run."""
        found = self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
        return {item["task_id"]: task_from(item) for item in found}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What the task returned, or None when it has not."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        entry = self.get(path, deserialize=False, stringify=False)
        value = None if entry is None else entry["value"]
        return json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) else value

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


def task_from(item: Mapping[str, Any]) -> Task:
    """A Task of a taskInstances item."""
    return Task(
        id=item["task_id"],
        state=item["state"] or "",
        tries=item["try_number"],
        started_at=moment(item["start_date"]),
        ended_at=moment(item["end_date"]),
    )


def run_from(item: Mapping[str, Any]) -> Run:
    """A Run of a dagRuns item; a run that has not ended has taken 0 seconds."""
    month = (item["data_interval_start"] or item["logical_date"])[:7]
    return Run(item["dag_run_id"], item["run_type"], item["state"], month, round(item["duration"] or 0.0, 1))


def moment(text: str | None) -> datetime | None:
    """A time of the API."""
    return datetime.fromisoformat(text) if text else None
