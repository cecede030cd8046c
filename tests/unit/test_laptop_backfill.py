"""`make backfill`: its arguments, the request it sends, what counts as a good end, and what it tells."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from include.laptop import layout
from include.laptop.backfill import driver, result, view
from include.laptop.backfill.result import Month
from include.laptop.layout import Addresses, LaptopError
from include.laptop.run import reviewer
from include.laptop.setup.arguments import BackfillArguments, parse_backfill
from include.laptop.stack import seeds
from include.laptop.stack.airflow_api import AirflowApi, Run, Task
from sagemaker_retraining.period import Period
from sagemaker_retraining.requests import build_requests
from tests.kits.project import ExampleProject

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/flight-delay/3"
PASSED = {"passed": True, "reason": "all thresholds met; no champion to compare with"}
REFUSED = {"passed": False, "reason": "auc 0.5100 misses its minimum of 0.6"}
MEASURED: dict[str, Any] = {"challenger": {"auc": 0.7732}, "champion": None}


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (("flight_dely", "2013-03", "2013-04"), "MODEL=flight_dely is not a model of this project: did you mean fl"),
        (("flight_delay", "2013-3", "2013-04"), "FROM=2013-3 is not a month: write it as YYYY-MM"),
        (("flight_delay", "2013-03", "2013-13"), "TO=2013-13 is not a month: write it as YYYY-MM"),
        (("flight_delay", "", "2013-04"), "FROM= is not a month"),
        (("flight_delay", "2013-05", "2013-04"), "FROM=2013-05 is after TO=2013-04"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_start_nothing(chosen: tuple[str, ...], sentence: str) -> None:
    """With the system's Python, as the Makefile does it before it installs anything."""
    command = [sys.executable, "-S", "-m", "include.laptop.setup.arguments", "backfill", *chosen]
    done = subprocess.run(command, cwd=layout.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("first", "last", "periods"),
    [
        ("2013-03", "2013-03", ["2013-03"]),
        ("2013-11", "2014-02", ["2013-11", "2013-12", "2014-01", "2014-02"]),
    ],
)
def test_both_ends_are_included(first: str, last: str, periods: list[str]) -> None:
    assert parse_backfill("flight_delay", first, last).periods == periods


def test_months_without_data_are_named_with_what_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "months", lambda where, model: ["2013-01", "2013-02", "2013-03", "2013-05"])
    periods = BackfillArguments("flight_delay", "2013-02", "2013-05").periods
    with pytest.raises(LaptopError) as error:
        seeds.check_months(Addresses(8080, 5005), "flight_delay", periods, "FROM=2013-02 TO=2013-05")
    assert error.value.status == 2
    assert str(error.value) == (
        "FROM=2013-02 TO=2013-05 cannot be retrained here (2013-04): it needs its own data and a month before it; "
        "possible periods are 2013-02 to 2013-05."
    )
    seeds.check_months(Addresses(8080, 5005), "flight_delay", ["2013-02", "2013-05"], "")


@pytest.mark.parametrize(
    ("month", "well"),
    [
        (Month("2013-05", state="success", model_package_arn=ARN, gate=PASSED), True),
        (Month("2013-05", state="failed", gate=REFUSED), True),
        (Month("2013-05", state="success", gate=REFUSED), True),
        (Month("2013-05", state="success", model_package_arn=ARN, gate=REFUSED), True),
        (Month("2013-05", state="failed", error="train: no capacity"), False),
        (Month("2013-05", state="failed", model_package_arn=ARN, gate=PASSED), False),
        (Month("2013-05", state="success", gate=PASSED), False),
        (Month("2013-05"), False),
    ],
)
def test_a_month_ends_well_with_a_version_or_a_refusal(month: Month, well: bool) -> None:
    assert month.ended_well is well


class Answers(AirflowApi):
    """What Airflow knows about one run that has ended."""

    def __init__(self, states: dict[str, str], returned: dict[str, Any]) -> None:
        self.states = states
        self.returned = returned

    def tasks(self, dag_id: str, run_id: str) -> dict[str, Task]:
        """The given states."""
        return {name: Task(name, state, 1, None, None) for name, state in self.states.items()}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """The given results."""
        return self.returned.get(task_id)


def collected(monkeypatch: pytest.MonkeyPatch, api: Answers, log: str = "") -> Month:
    monkeypatch.setattr(reviewer, "approval", lambda sagemaker, arn: {"status": "PendingManualApproval"})
    monkeypatch.setattr("include.laptop.run.task_logs.last_lines", lambda *where: [f"error {log}"])
    run = Run("backfill__2013-06-01T06:00:00+00:00", "backfill", "failed" if log else "success", "2013-05", 40.0)
    return result.collect("2013-05", run, "flight_delay_retraining", api, None)  # type: ignore[arg-type]


def test_a_registered_month_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    returned = {"quality_gate": {**PASSED, **MEASURED}, "register": {"model_package_arn": ARN}}
    month = collected(monkeypatch, Answers({"register": "success", "deploy": "skipped"}, returned))
    assert (month.gate, month.metrics, month.model_package_arn) == (PASSED, MEASURED, ARN)
    assert (month.approval, month.deployed, month.error) == ({"status": "PendingManualApproval"}, False, None)


def test_a_refusal_is_a_decision_although_its_task_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"quality_gate": "failed", "register": "upstream_failed"}
    month = collected(monkeypatch, Answers(states, {"quality_gate": {**REFUSED, **MEASURED}}), "AirflowFailException")
    assert (month.state, month.gate, month.metrics) == ("failed", REFUSED, MEASURED)
    assert (month.ended_well, month.error) == (True, None)


def test_a_gate_that_could_not_decide_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    month = collected(monkeypatch, Answers({"quality_gate": "failed"}, {}), "AirflowFailException: no evaluation.json")
    assert (month.gate, month.ended_well) == (None, False)
    assert month.error == "quality_gate: AirflowFailException: no evaluation.json"


def test_a_failed_job_is_no_good_end_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    month = collected(monkeypatch, Answers({"train": "failed"}, {}), "AlgorithmError: exit status 1")
    assert month.error == "train: AlgorithmError: exit status 1"
    assert month.gate is None
    assert not month.ended_well


def test_the_result_is_the_contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(result, "LAST_BACKFILL", tmp_path / "backfill.json")
    result.write([Month("2013-05")])
    (entry,) = json.loads((tmp_path / "backfill.json").read_text())
    assert set(entry) == {
        "period", "run_id", "state", "seconds", "model_package_arn", "gate", "metrics", "approval", "deployed", "error",
    }  # fmt: skip


def test_the_table_shows_metric_champion_gate_and_version() -> None:
    months = [
        Month("2013-05", "r", "success", 47.0, ARN, PASSED, MEASURED),
        Month("2013-06", "r", "failed", 40.0, None, REFUSED, {"challenger": {"auc": 0.51}, "champion": {"auc": 0.7}}),
        Month("2013-07", "r", "failed", 12.0, error="train: AlgorithmError: exit status 1"),
    ]
    console = Console(file=io.StringIO(), width=200)
    view.print_table(console, months, "auc")
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "",
        "month         auc  champion  seconds  version            gate",
        "2013-05    0.7732         -       47  flight-delay/3     passed: all thresholds met; no champion to compare "
        "with",
        "2013-06    0.5100    0.7000       40  none               refused: auc 0.5100 misses its minimum of 0.6",
        "2013-07         -         -       12  none               not reached; train: AlgorithmError: exit status 1",
        "challenger  █▁   auc 0.5100 to 0.7732",
    ]


@pytest.mark.parametrize(
    ("values", "bars"), [([0.7, 0.8, 0.9], "▁▅█"), ([0.7, None, 0.9], "▁ █"), ([0.7, 0.7], "▁▁"), ([1.0, 0.0], "█▁")]
)
def test_sparkline(values: list[float | None], bars: str) -> None:
    known = [value for value in values if value is not None]
    assert view.sparkline(values, min(known), max(known)) == bars


def test_both_models_are_drawn_on_one_scale() -> None:
    pairs = [(0.66, None), (0.8, 0.75), (0.9, 0.5)]
    months = [
        Month("2013-05", metrics={"challenger": {"auc": new}, "champion": None if old is None else {"auc": old}})
        for new, old in pairs
    ]
    console = Console(file=io.StringIO(), width=200)
    view.print_curves(console, months, "auc")
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "challenger  ▄▆█  auc 0.5000 to 0.9000",
        "champion     ▅▁  auc 0.5000 to 0.9000",
    ]


def test_progress_is_a_line_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=io.StringIO(), width=200)
    with view.MonthProgress(console, ["2013-05", "2013-06"], "auc") as progress:
        progress.working("2013-05", "train")
        progress.working("2013-05", "train")
        progress.ended(Month("2013-05", "r", "success", 47.0, ARN, PASSED, MEASURED))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "   0/2  2013-05  train",
        "   1/2  2013-05  ended         47 s  flight-delay/3, auc 0.7732",
    ]


def test_what_failed_is_done_again_and_what_succeeded_is_kept() -> None:
    assert driver.request(BackfillArguments("flight_delay", "2013-11", "2013-12")) == {
        "dag_id": "flight_delay_retraining",
        "from_date": "2013-11-01T00:00:00+00:00",
        "to_date": "2013-12-31T23:59:59+00:00",
        "reprocess_behavior": "failed",
        "max_active_runs": driver.RUNS_AT_ONCE,
    }


def test_ten_runs_at_once_write_to_no_common_place(tmp_path: Path) -> None:
    """Of what a run's requests name, only what they read may be in two runs: the code, the raw data, the image, …"""
    project = ExampleProject(tmp_path)
    written: list[set[tuple[str, str]]] = []
    for number in range(3, 13):
        run_id = f"backfill__{Period(2013, number).add(1)}-01T06:00:00+00:00"
        requests = build_requests(project.plan(period=f"2013-{number:02}", run_id=run_id))
        written.append(set(written_places(requests)))
        assert {"TrainingJobName", "ProcessingJobName", "ClientToken"} <= {place[0] for place in written[-1]}
    assert len(set.union(*written)) == sum(map(len, written))


def written_places(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, value) of every name and place that a request makes or writes to."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from written_places(member, f"{key}.{name}")
    elif isinstance(value, list):
        for member in value:
            yield from written_places(member, key)
    elif key.endswith(("JobName", "ClientToken")) or re.search(
        r"Output.*S3(Uri|OutputPath)$|CheckpointConfig\.S3Uri|plan_uri$", key
    ):
        yield key.rpartition(".")[2], str(value)
