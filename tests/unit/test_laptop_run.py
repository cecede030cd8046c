"""`make run`: its arguments, its ports, its processes, and what it writes for programs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from include.laptop import layout
from include.laptop.layout import Addresses, LaptopError
from include.laptop.run import result, summary, task_logs
from include.laptop.setup import arguments
from include.laptop.stack import ports, processes, stack_file
from include.laptop.stack.airflow_api import AirflowApi
from include.laptop.stack.components import Component
from include.laptop.stack.environment import process_environment


def refusal(*chosen: str) -> str:
    """The sentence for wrong arguments."""
    with pytest.raises(LaptopError) as error:
        arguments.parse_run(*chosen)
    assert error.value.status == 2
    return str(error.value)


def test_misspelt_model_gets_a_hint_and_the_list() -> None:
    text = refusal("flight_dely", "2013-11", "auto")
    assert text.startswith("MODEL=flight_dely is not a model of this project: did you mean flight_delay?")
    assert "There are: " in text


@pytest.mark.parametrize("period", ["2013-13", "2013-1", "13-11", "2013/11", "2013-11-01", ""])
def test_bad_period(period: str) -> None:
    assert refusal("flight_delay", period, "auto") == (
        f"PERIOD={period} is not a month: write it as YYYY-MM, for example 2013-11."
    )


def test_bad_review() -> None:
    assert refusal("flight_delay", "2013-11", "yes") == "REVIEW=yes is neither auto nor manual."


def test_arguments_are_refused_before_anything_is_installed() -> None:
    """The Makefile runs this check with the system's Python: the standard library must be enough."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import sys; sys.path.insert(0, '.'); import include.laptop.setup.arguments",
    ]
    subprocess.run(command, cwd=layout.ROOT, check=True)


def test_port_in_use_names_port_holder_and_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LaptopError) as error:
            ports.check_ports(Addresses(port, 5005))
    assert str(error.value).startswith(f"Port {port} is in use by ")
    assert str(error.value).endswith(f"choose another port with AIRFLOW_PORT={port + 1}.")


@pytest.mark.parametrize("value", ["http", "80", "70000", "-1"])
def test_port_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_PORT", value)
    with pytest.raises(LaptopError, match=f"SAGEMAKER_PORT={value} is not a port"):
        layout.addresses()


def test_nothing_of_the_users_aws_or_airflow_reaches_the_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("include.laptop.stack.environment.AIRFLOW_HOME", tmp_path)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AIRFLOW__CORE__EXECUTOR", "AIRFLOW_CONN_OTHER"):
        monkeypatch.setenv(name, "the user's own")
    environment = process_environment(Addresses(8080, 5005))
    assert "the user's own" not in environment.values()
    assert json.loads(environment["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]["endpoint_url"] == "http://127.0.0.1:5005"
    keys = [file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()]
    assert keys == [0o600] * 3
    assert process_environment(Addresses(8080, 5005)) == environment, "the keys are made once"


def test_stop_ends_a_group_that_does_not_want_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A leader that ignores the signal, with a child in the same group that does too."""
    monkeypatch.setattr(processes, "LOGS", tmp_path)
    program = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    component = Component("stubborn one", [sys.executable, "-c", program], signal.SIGINT, patience=0.2)
    leader = processes.start(component, {})
    log = tmp_path / "stubborn-one.log"
    while not log.read_text().endswith("\n"):
        assert leader.poll() is None
    child = psutil.Process(int(log.read_text()))
    processes.stop([(component, leader)])
    assert leader.returncode == -signal.SIGKILL
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


def test_stop_leaves_the_stack_of_somebody_else_in_the_same_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such as that of a `make up`, while a test or a benchmark stops what it started itself."""
    monkeypatch.setattr(processes, "LOGS", tmp_path)
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    leave_the_group = "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:], start_new_session=True); "
    mine = Component(
        "mine",
        [sys.executable, "-c", f"{leave_the_group}print(p.pid, flush=True); time.sleep(600)", *sleep],
        signal.SIGTERM,
        patience=5,
    )
    marked = process_environment(Addresses(8080, 5005))
    with subprocess.Popen(sleep, env=marked) as foreign:
        try:
            leader = processes.start(mine, marked)
            log = tmp_path / "mine.log"
            while not log.read_text().endswith("\n"):
                assert leader.poll() is None
            strayed = psutil.Process(int(log.read_text()))
            assert {foreign.pid, strayed.pid} <= {process.pid for process in processes.marked_processes()}
            processes.stop([(mine, leader)])
            assert foreign.poll() is None
            _, alive = psutil.wait_procs([strayed], timeout=10)
            assert not alive
        finally:
            foreign.kill()


def test_a_stale_stack_file_is_no_running_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its process is alive but something else: the number was given to another program since."""
    monkeypatch.setattr(stack_file, "STACK_FILE", tmp_path / "stack.json")
    assert stack_file.running_stack() is None
    (tmp_path / "stack.json").write_text(json.dumps({"supervisor": psutil.Process().pid}))
    assert stack_file.running_stack() is None


CONTRACT = {
    "model", "period", "dag_id", "run_id", "state", "seconds", "tasks", "jobs", "metrics", "model_package_arn",
    "approval", "endpoint", "prediction", "report",
}  # fmt: skip


def test_last_run_holds_the_contract_even_when_nothing_ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(result, "LAST_RUN", tmp_path / "last-run.json")
    chosen = arguments.parse_run("flight_delay", "2013-11", "auto")
    first, second = result.new_result(chosen), result.new_result(chosen)
    first.error = "why"
    first.write()
    written = json.loads((tmp_path / "last-run.json").read_text())
    assert written.keys() >= CONTRACT
    assert written["state"] == "not started"
    assert set(written["metrics"]) == {"challenger", "champion"}
    assert first.run_id.startswith("make_run__2013-11__")
    assert second.dag_id == "flight_delay_retraining"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, ("spot", "30 s of training on 1 instance, 10 s billed: 67 % saved; interrupted once")),
        (
            {"instance_count": 2, "interruptions": 3},
            ("spot", "30 s of training on 2 instances, 10 s billed: 67 % saved; interrupted 3 times"),
        ),
        (
            {"spot": False, "name": "x-train-g1"},
            ("on demand", "30 s of training on 1 instance, all billed, because Spot had no capacity"),
        ),
    ],
)
def test_the_summary_says_what_training_cost(changes: dict[str, Any], line: tuple[str, str]) -> None:
    job = {"name": "x-train", "instance_count": 1, "training_seconds": 30, "billable_seconds": 10}
    job |= {"savings_pct": 66.7, "interruptions": 1, "spot": True}
    assert summary.spot_line(job | changes) == line


class Answers(AirflowApi):
    """An API whose answers are given: this is about what the driver makes of them."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def get(self, path: str, **parameters: Any) -> Any:
        """The given answer."""
        return self.answers[path]


def test_tasks_are_shown_in_the_order_of_the_dag() -> None:
    edges = {"verify": [], "train": ["evaluate"], "plan": ["train", "evaluate"], "evaluate": ["verify"]}
    tasks = [{"task_id": name, "downstream_task_ids": after} for name, after in edges.items()]
    assert Answers({"dags/d/tasks": {"tasks": tasks}}).task_order("d") == ["plan", "train", "evaluate", "verify"]


def test_the_reason_of_a_failed_task_is_its_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_logs, "AIRFLOW_HOME", tmp_path)
    folder = tmp_path / "logs" / "dag_id=d" / "run_id=r" / "task_id=t"
    folder.mkdir(parents=True)
    failure = {"exc_type": "AirflowFailException", "exc_value": "the script exited with 3"}
    records = [
        {"level": "info", "event": "Created job"},
        {"level": "error", "event": "Task failed with exception", "error_detail": [failure]},
        {"level": "info", "event": "::endgroup::"},
    ]
    (folder / "attempt=1.log").write_text("".join(json.dumps(record) + "\n" for record in records) + "no JSON\n")
    lines = task_logs.last_lines("d", "r", "t")
    assert lines == [
        "info Created job",
        "error AirflowFailException: the script exited with 3",
        "no JSON",
    ]
    assert task_logs.reason(lines) == "AirflowFailException: the script exited with 3"


def test_a_metric_that_was_not_finite_is_shown_as_that() -> None:
    """The gate's XCom has None for it; the summary of a refused model must not fail on top."""
    assert summary.metrics_text({"auc": None, "log_loss": 0.5}) == "auc nan, log_loss 0.5000"


class Served:
    """A local SageMaker that serves 0.5 as whatever variant, and has no data capture."""

    asked: str | None = None

    def sample_row(self, uri: str) -> dict[str, Any]:
        return {"body": "1", "content_type": "text/csv", "prediction": 0.5}

    def invoke(self, endpoint: str, row: dict[str, Any], variant: str) -> str:
        self.asked = variant
        return "0.5"

    def capture_objects(self, endpoint: str) -> int:
        return 0

    @property
    def api(self) -> Served:
        return self

    def describe_endpoint(self, **request: str) -> dict[str, Any]:
        return {"EndpointStatus": "InService", "EndpointConfigName": "wanted"}


def test_a_version_is_asked_only_where_it_answers() -> None:
    verify = {"endpoint": "demo", "tolerance": 0.0}
    assert result.answers_at_once(verify, {"shadow": False})
    assert not result.answers_at_once(verify, {"shadow": True})
    assert not result.answers_at_once({**verify, "asynchronous_uri": "s3://b/x"}, {"shadow": False})
    served: Any = Served()
    result.predict(served, verify, {"evaluation": "s3://b/e/"}, "Challenger")
    assert served.asked == "Challenger"


def test_an_endpoint_without_capture_need_not_capture() -> None:
    served: Any = Served()
    found = result.endpoint_summary(served, {"endpoint": "demo", "endpoint_config": "wanted"})
    assert found["capture_objects"] == 0
