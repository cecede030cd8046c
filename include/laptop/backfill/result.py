"""What a backfill came to, month by month, out of Airflow and SageMaker; written to `.local/backfill.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from include.laptop.layout import LAST_BACKFILL
from include.laptop.run import reviewer, task_logs
from include.laptop.run.jobs import SageMaker
from include.laptop.stack.airflow_api import AirflowApi, Run


@dataclass
class Month:
    """An entry of backfill.json. What a month did not come to is None; `error` is why it did not end well."""

    period: str
    run_id: str | None = None
    state: str = "not started"
    seconds: float = 0.0
    model_package_arn: str | None = None
    gate: dict[str, Any] | None = None
    metrics: dict[str, Any] = field(default_factory=lambda: {"challenger": None, "champion": None})
    approval: dict[str, Any] | None = None
    deployed: bool = False
    error: str | None = None

    @property
    def ended_well(self) -> bool:
        """Registered, or refused by the gate, which says why."""
        refused = self.gate is not None and not self.gate["passed"]
        return refused or (self.state == "success" and self.model_package_arn is not None)


def collect(period: str, run: Run, dag_id: str, api: AirflowApi, sagemaker: SageMaker) -> Month:
    """Everything about a run that has ended, however it ended."""
    month = Month(period, run.id, run.state, run.seconds)
    tasks = api.tasks(dag_id, run.id)

    def returned(task: str) -> dict[str, Any]:
        value = api.xcom(dag_id, run.id, task)
        return value if isinstance(value, dict) else {}

    if gate := returned("quality_gate"):
        month.gate = {"passed": gate["passed"], "reason": gate["reason"]}
        month.metrics = {"challenger": gate["challenger"], "champion": gate["champion"]}
    month.model_package_arn = returned("register").get("model_package_arn")
    if month.model_package_arn:
        month.approval = reviewer.decision(sagemaker, month.model_package_arn)
    month.deployed = "deploy" in tasks and tasks["deploy"].state == "success"
    failed = next((name for name, task in tasks.items() if task.state == "failed"), None)
    if failed and not month.ended_well:
        month.error = f"{failed}: {task_logs.reason(task_logs.last_lines(dag_id, run.id, failed))}"
    return month


def write(months: list[Month]) -> None:
    """Replace backfill.json as a whole."""
    LAST_BACKFILL.parent.mkdir(parents=True, exist_ok=True)
    draft = LAST_BACKFILL.with_suffix(".tmp")
    draft.write_text(json.dumps([asdict(month) for month in months], indent=2) + "\n")
    draft.replace(LAST_BACKFILL)
