"""What a backfill came to, month by month, out of Airflow and SageMaker; written to `.local/backfill.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TypedDict

from include.laptop.layout import LAST_BACKFILL, write_json
from include.laptop.run import reviewer, task_logs
from include.laptop.run.jobs import SageMaker
from include.laptop.run.result import BothModels
from include.laptop.run.reviewer import Approval
from include.laptop.stack.airflow_api import AirflowApi, Run
from sagemaker_retraining.gate.document import GateResult
from sagemaker_retraining.xcom import RegisterResult


class GateSummary(TypedDict):
    """What the quality gate decided, and why."""

    passed: bool
    reason: str


@dataclass
class Month:
    """An entry of backfill.json. What a month did not come to is None; `error` is why it did not end well."""

    period: str
    run_id: str | None = None
    state: str = "not started"
    seconds: float = 0.0
    model_package_arn: str | None = None
    gate: GateSummary | None = None
    metrics: BothModels = field(default_factory=lambda: BothModels(challenger=None, champion=None))
    approval: Approval | None = None
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

    gate: GateResult | None = api.xcom(dag_id, run.id, "quality_gate")
    if gate:
        month.gate = {"passed": gate["passed"], "reason": gate["reason"]}
        month.metrics = {"challenger": gate["challenger"], "champion": gate["champion"]}
    registered: RegisterResult | None = api.xcom(dag_id, run.id, "register")
    if registered:
        month.model_package_arn = registered["model_package_arn"]
        month.approval = reviewer.approval(sagemaker, registered["model_package_arn"])
    month.deployed = "deploy" in tasks and tasks["deploy"].state == "success"
    failed = next((name for name, task in tasks.items() if task.state == "failed"), None)
    if failed and not month.ended_well:
        month.error = f"{failed}: {task_logs.reason(task_logs.last_lines(dag_id, run.id, failed))}"
    return month


def write(months: list[Month]) -> None:
    """Replace backfill.json as a whole."""
    write_json(LAST_BACKFILL, [asdict(month) for month in months])
