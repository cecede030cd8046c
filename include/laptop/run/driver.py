"""`make run`: one retraining of a real model on this machine, from nothing to a prediction of the endpoint."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from include.laptop.layout import LAST_RUN, Addresses, LaptopError
from include.laptop.run import reviewer, task_logs
from include.laptop.run.jobs import JOB_STEPS, SageMaker, job_names
from include.laptop.run.progress import Progress
from include.laptop.run.result import RUN_PREFIX, collect, new_result
from include.laptop.run.summary import print_summary
from include.laptop.setup.arguments import RunArguments, parse_run
from include.laptop.stack import lifecycle, seeds
from include.laptop.stack.airflow_api import AirflowApi, Task
from include.laptop.stack.components import DIRECT, get_json
from sagemaker_retraining.config import ConfigError, ModelConfig, load_model
from sagemaker_retraining.requests.approval import short_name
from sagemaker_retraining.xcom import RegisterResult

POLL_SECONDS = 0.7
DAG_SECONDS = 60
REVIEW_TASK = "review"


class Driver:
    """One run. `result` grows as the run goes on and is written whatever happens."""

    def __init__(self, arguments: RunArguments, console: Console) -> None:
        self.arguments = arguments
        self.console = console
        self.result = new_result(arguments)

    def run(self) -> int:
        """Start the stack, run, stop what was started, tell. Exit status 0 only when the whole chain ended well."""
        started = time.monotonic()
        status = 1
        try:
            with self.phase("start"):
                running = lifecycle.attach_or_start([self.arguments.model], self.say_ready, self.check_period)
            try:
                self.retrain(running)
                status = 0
            finally:
                with self.phase("stop"):
                    running.stop()
        except LaptopError as error:
            self.result.error, status = str(error), error.status
        except (httpx.HTTPError, BotoCoreError, ClientError, OSError) as error:
            self.result.error = f"{type(error).__name__}: {error}; logs in .local/logs."
        except KeyboardInterrupt:
            self.result.error, self.result.state, status = "Interrupted; everything is stopped.", "interrupted", 130
        self.result.seconds = round(time.monotonic() - started, 1)
        self.result.write()
        print_summary(self.console, self.result)
        return status

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a part of the run."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.result.phases[name] = round(time.monotonic() - started, 1)

    def say_ready(self, name: str, seconds: float) -> None:
        """What has become ready while the stack starts."""
        self.console.print(f"  {name} ready after {seconds:.1f} s", highlight=False)

    def retrain(self, running: lifecycle.Stack) -> None:
        """Trigger the DAG and see it through. Raises LaptopError when it does not end well."""
        where = running.where
        sagemaker = SageMaker(where)
        api = AirflowApi(where.airflow, "admin", "admin")
        with contextlib.closing(api), interrupt_spot(where, self.arguments):
            with self.phase("dag"):
                wait_for_dag(api, self.arguments.model)
            if running.supervisor:  # no other driver is at work: what is unfinished was interrupted
                for run_id in api.unfinished(self.arguments.dag_id, RUN_PREFIX):
                    api.give_up(self.arguments.dag_id, run_id)
            api.unpause(self.arguments.dag_id)
            # Who names a month at the command line means it, also when a later one is in production.
            conf = {"period": self.arguments.period, "replace_newer": True}
            api.trigger(self.arguments.dag_id, self.result.run_id, conf)
            address = f"{where.airflow}/dags/{self.arguments.dag_id}"
            self.console.print(f"Run {self.result.run_id}: {address}", highlight=False, soft_wrap=True)
            with self.phase("run"), give_up_when_interrupted(api, self.arguments.dag_id, self.result.run_id):
                self.follow(api, sagemaker)
            with self.phase("check"):
                collect(self.result, api, sagemaker)
        self.result.memory_bytes = (get_json(f"{where.sagemaker}/_local/health") or {}).get("memory_rss_bytes")
        self.raise_unless_well()

    def check_period(self, where: Addresses) -> None:
        """Raise LaptopError for a month that has no data here."""
        period = self.arguments.period
        seeds.check_months(where, self.arguments.model, [period], f"PERIOD={period}")

    def follow(self, api: AirflowApi, sagemaker: SageMaker) -> None:
        """Show the progress, and play the reviewer, until the run has ended."""
        dag_id, run_id = self.arguments.dag_id, self.result.run_id
        reviewed = False
        with Progress(self.console, api.task_order(dag_id)) as progress:
            while True:
                state = self.result.state = api.run_state(dag_id, run_id)
                tasks = api.tasks(dag_id, run_id)
                progress.show(tasks, self.details(api, sagemaker, tasks))
                if state in ("success", "failed"):
                    return
                if not reviewed and waits_for_review(tasks):
                    progress.say(self.review(api, sagemaker))
                    reviewed = True
                time.sleep(POLL_SECONDS)

    def details(self, api: AirflowApi, sagemaker: SageMaker, tasks: dict[str, Task]) -> dict[str, str]:
        """Task → what its SageMaker job does."""
        started = [step for step in JOB_STEPS if step in tasks and tasks[step].state not in ("", "scheduled", "queued")]
        if not started:
            return {}
        names = job_names(api.xcom(self.arguments.dag_id, self.result.run_id, "plan"))
        return {step: sagemaker.job_detail(step, names[step]) for step in started if step in names}

    def review(self, api: AirflowApi, sagemaker: SageMaker) -> str:
        """Approve, or say how a person does."""
        registered: RegisterResult = api.xcom(self.arguments.dag_id, self.result.run_id, "register")
        arn = registered["model_package_arn"]
        if self.arguments.review == "manual":
            address = f"{self.run_address(sagemaker.where)}/required_actions"
            return reviewer.instructions(sagemaker, self.arguments.model, arn, address)
        return reviewer.approve(sagemaker, arn, api.xcom(self.arguments.dag_id, self.result.run_id, "quality_gate"))

    def run_address(self, where: Addresses) -> str:
        """The run's page in Airflow's UI."""
        return f"{where.airflow}/dags/{self.arguments.dag_id}/runs/{quote(self.result.run_id)}"

    def raise_unless_well(self) -> None:
        """Raise LaptopError for a run that failed, with the failed task's log, or that stopped before the end."""
        approval = self.result.approval
        if approval and approval["status"] == "Rejected":
            version = short_name(self.result.model_package_arn or "")
            raise LaptopError(
                f"{version} was rejected by {approval['by']}: {approval['reason']}; nothing was deployed."
            )
        failed = [name for name, task in self.result.tasks.items() if task["state"] == "failed"]
        if failed:
            lines = task_logs.last_lines(self.arguments.dag_id, self.result.run_id, failed[0])
            self.console.print(f"\nThe last lines of {failed[0]}:", highlight=False)
            for line in lines:
                self.console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
            raise LaptopError(f"{failed[0]} failed: {task_logs.reason(lines)}")
        # Where review asked and the decision came by another channel, it is skipped.
        done = {name: {"success", "skipped"} if name == REVIEW_TASK else {"success"} for name in self.result.tasks}
        undone = [name for name, task in self.result.tasks.items() if task["state"] not in done[name]]
        if self.result.state != "success" or undone:
            raise LaptopError(f"The run is {self.result.state}, and not all tasks succeeded: {', '.join(undone)}.")


def wait_for_dag(api: AirflowApi, model: str) -> None:
    """Until Airflow has read the model's DAG. Raises LaptopError with its import error, or after a minute."""
    deadline = time.monotonic() + DAG_SECONDS
    while not api.has_dag(f"{model}_retraining"):
        for file, trace in api.import_errors().items():
            if file.endswith(f"{model}.py"):
                raise LaptopError(f"Airflow cannot load {file}: {trace.strip().splitlines()[-1]}")
        if time.monotonic() > deadline:
            raise LaptopError(f"Airflow has no DAG {model}_retraining after {DAG_SECONDS} s; see .local/logs.")
        time.sleep(0.3)


def waits_for_review(tasks: dict[str, Task]) -> bool:
    """Whether the version is registered and the approval task waits for a decision."""
    approval = tasks.get("approval")
    return approval is not None and approval.state in ("running", "deferred", "up_for_reschedule")


@contextlib.contextmanager
def give_up_when_interrupted(api: AirflowApi, dag_id: str, run_id: str) -> Iterator[None]:
    """Leave no run behind that nobody follows."""
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(httpx.HTTPError):
            api.give_up(dag_id, run_id)
        raise


@contextlib.contextmanager
def interrupt_spot(where: Addresses, arguments: RunArguments) -> Iterator[None]:
    """Have Spot take the machine away once, after the first checkpoint of this run's training."""
    address = f"{where.sagemaker}/_local/spot"
    before: dict[str, object] = get_json(address) or {"rules": []}
    job = f"{arguments.model.replace('_', '-')}-train-{arguments.period.replace('-', '')}-*"
    rule = {"job": job, "after_checkpoints": 1, "gap_seconds": 1.0, "times": 1}
    put_json(address, {**before, "rules": [rule]})
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            put_json(address, before)


def check_configuration(name: str, period: str, asked: str) -> ModelConfig:
    """What is wrong with the YAML files, or with the month, before anything is started. Raises LaptopError.

    `asked` is what the user wrote, such as `PERIOD=2013-11`.
    """
    try:
        model = load_model(name, environment="local")
    except ConfigError as error:
        raise LaptopError(str(error), 2) from error
    if period < model.first_period:
        raise LaptopError(
            f"{asked} is before first_period {model.first_period} of {name}: there is no earlier month to learn from.",
            2,
        )
    return model


def put_json(url: str, body: Mapping[str, object]) -> None:
    """PUT to the local SageMaker's own control address."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="PUT")  # noqa: S310 (our own)
    DIRECT.open(request, timeout=5).close()


def interrupt(signum: int, frame: object) -> None:
    """Signal handler: end in order, as after Ctrl-C."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """`python -m include.laptop.run MODEL PERIOD REVIEW`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    console = Console()
    try:
        chosen = parse_run(*arguments)
        check_configuration(chosen.model, chosen.period, f"PERIOD={chosen.period}")
        lifecycle.check_not_in_use()
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    LAST_RUN.unlink(missing_ok=True)
    console.print(f"Retraining {chosen.model} on {chosen.period}", highlight=False)
    return Driver(chosen, console).run()
