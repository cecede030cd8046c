"""`make backfill`: Airflow's own backfill of a model's months on this machine; every month becomes a version.

The versions are there for the record and for comparing months: nobody is asked about them, nothing is deployed.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from include.laptop.backfill.result import Month, collect, write
from include.laptop.backfill.view import MonthProgress, current_step, print_table
from include.laptop.layout import LAST_BACKFILL, Addresses, LaptopError
from include.laptop.run.driver import check_configuration, interrupt, wait_for_dag
from include.laptop.run.jobs import SageMaker, job_names
from include.laptop.setup.arguments import BackfillArguments, parse_backfill
from include.laptop.stack import lifecycle, seeds
from include.laptop.stack.airflow_api import AirflowApi, BackfillRequest, Run
from sagemaker_retraining.outcomes import Outcome, outcome_of
from sagemaker_retraining.period import Period

RUNS_AT_ONCE = 2
"""Of the backfill's runs, on two cores: two together take 64 s, one by itself 47 s (docs/backfill.md)."""
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 90
STOP_SECONDS = 60
UNFINISHED = ("queued", "running")


class Backfill:
    """One backfill. `months` fills up as it goes on and is written whatever happens."""

    def __init__(self, arguments: BackfillArguments, metric: str, console: Console) -> None:
        self.arguments = arguments
        self.metric = metric
        self.console = console
        self.months = {period: Month(period) for period in arguments.periods}
        self.error: str | None = None

    def run(self) -> int:
        """Start the stack, backfill, stop what was started, tell. Exit status 0 only when all months ended well."""
        started = time.monotonic()
        status = 1
        try:
            running = lifecycle.attach_or_start([self.arguments.model], self.say_ready, self.check_months)
            try:
                self.backfill(running)
                status = 0 if all(month.ended_well for month in self.months.values()) else 1
            finally:
                running.stop()
        except LaptopError as error:
            self.error, status = str(error), error.status
        except (httpx.HTTPError, BotoCoreError, ClientError, OSError) as error:
            self.error = f"{type(error).__name__}: {error}; logs in .local/logs."
        except KeyboardInterrupt:
            self.error, status = "Interrupted; the backfill is cancelled, its runs and their jobs are stopped.", 130
        if any(month.run_id for month in self.months.values()):
            write(list(self.months.values()))
            self.tell(time.monotonic() - started)
        if self.error:
            self.console.print(self.error, style="red", highlight=False, markup=False, soft_wrap=True)
        return status

    def say_ready(self, name: str, seconds: float) -> None:
        """What has become ready while the stack starts."""
        self.console.print(f"  {name} ready after {seconds:.1f} s", highlight=False)

    def check_months(self, where: Addresses) -> None:
        """Raise LaptopError for months that have no data here."""
        chosen = self.arguments
        seeds.check_months(where, chosen.model, chosen.periods, f"FROM={chosen.first} TO={chosen.last}")

    def backfill(self, running: lifecycle.Stack) -> None:
        """Create the backfill and see it through."""
        sagemaker = SageMaker(running.where)
        with contextlib.closing(AirflowApi(running.where.airflow, "admin", "admin")) as api:
            wait_for_dag(api, self.arguments.model)
            if running.supervisor:  # no other driver is at work: what is unfinished was interrupted
                self.give_up_leftovers(api)
            due = api.backfill_months(request(self.arguments))
            self.collect_what_is_there(api, sagemaker, due)
            if not due:
                return
            backfill = self.create(api)
            address = f"{running.where.airflow}/dags/{self.arguments.dag_id}/backfills"
            self.say(f"Backfill {backfill}, {len(due)} months, {RUNS_AT_ONCE} at once: {address}")
            with self.cancelled_when_interrupted(api, sagemaker, backfill, due):
                self.follow(api, sagemaker, due)

    def create(self, api: AirflowApi) -> int:
        """Have Airflow make the runs; the backfill's id. Raises LaptopError when the DAG is being backfilled already.

        Of a backfill whose runs have all ended, the scheduler only notices half a minute later that it is over.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (backfill := self.try_to_create(api)) is None:
            if api.unfinished(self.arguments.dag_id, "backfill__") or time.monotonic() > deadline:
                raise LaptopError(
                    f"Airflow is backfilling {self.arguments.dag_id} already, and does one at a time: wait until that "
                    f"has ended, or cancel it in the UI."
                )
            time.sleep(POLL_SECONDS)
        return backfill

    def try_to_create(self, api: AirflowApi) -> int | None:
        """The backfill's id; None while the DAG has another one.

        The DAG is paused meanwhile: where SQLite is locked halfway, Airflow deletes the runs it has made, and a
        scheduler that has seen one of them dies of it (ObjectDeletedError, Airflow 3.3.2).
        """
        api.pause(self.arguments.dag_id)
        try:
            return api.create_backfill(request(self.arguments))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 409:
                raise
            return None
        finally:
            api.unpause(self.arguments.dag_id)

    def give_up_leftovers(self, api: AirflowApi) -> None:
        """End what a driver that was killed left behind in the database."""
        for backfill in api.active_backfills(self.arguments.dag_id):
            api.cancel_backfill(backfill)
        for run_id in api.unfinished(self.arguments.dag_id, "backfill__"):
            api.give_up(self.arguments.dag_id, run_id)

    def runs(self, api: AirflowApi) -> list[Run]:
        """The runs of the months, as Airflow has them now."""
        return api.runs_between(self.arguments.dag_id, *interval(self.arguments))

    def collect_what_is_there(self, api: AirflowApi, sagemaker: SageMaker, due: list[str]) -> None:
        """The months that Airflow will not run (again), because they succeeded or are being run otherwise."""
        kept = [run for run in self.runs(api) if run.month not in due]
        for run in kept:
            self.months[run.month] = collect(run.month, run, self.arguments.dag_id, api, sagemaker)
        done = [run.month for run in kept if run.state not in UNFINISHED]
        if done:
            self.say(f"Kept, because they succeeded before: {', '.join(done)}. (All Runs, in the UI's backfill form, "
                     f"does them again.)")  # fmt: skip
        for run in kept:
            if run.state in UNFINISHED:
                self.say(f"Left alone, because it is {run.state}: {run.id}.")

    def follow(self, api: AirflowApi, sagemaker: SageMaker, due: list[str]) -> None:
        """Show the progress until every run has ended."""
        order = api.task_order(self.arguments.dag_id)
        open_months = set(due)
        answered = time.monotonic()
        with MonthProgress(self.console, due, self.metric) as progress:
            while open_months:
                try:
                    self.look(api, sagemaker, order, open_months, progress)
                    answered = time.monotonic()
                except httpx.HTTPError:  # a busy machine answers late; that must not end hours of work
                    if time.monotonic() - answered > PATIENCE_SECONDS:
                        raise
                time.sleep(POLL_SECONDS)

    def look(
        self, api: AirflowApi, sagemaker: SageMaker, order: list[str], open_months: set[str], progress: MonthProgress
    ) -> None:
        """Show what has changed, and take the months that have ended out of `open_months`."""
        for run in self.runs(api):
            if run.month not in open_months or run.state == "queued":
                continue
            if run.state == "running":
                progress.working(run.month, current_step(order, api.tasks(self.arguments.dag_id, run.id)))
                continue
            month = collect(run.month, run, self.arguments.dag_id, api, sagemaker)
            self.months[run.month] = month
            progress.ended(month)
            open_months.remove(run.month)

    @contextlib.contextmanager
    def cancelled_when_interrupted(
        self, api: AirflowApi, sagemaker: SageMaker, backfill: int, due: list[str]
    ) -> Iterator[None]:
        """Leave no run and no job behind that nobody follows."""
        try:
            yield
        except BaseException:
            self.say("Cancelling the backfill and stopping its jobs …")
            try:
                self.cancel(api, sagemaker, backfill, due)
            except (httpx.HTTPError, BotoCoreError, ClientError) as error:
                self.say(f"Not all of it could be stopped: {error}")
            raise

    def cancel(self, api: AirflowApi, sagemaker: SageMaker, backfill: int, due: list[str]) -> None:
        """Airflow's cancel lets running runs go on: they are failed one by one, and their jobs waited for."""
        api.cancel_backfill(backfill)
        stopped = [run for run in self.runs(api) if run.month in due and run.state in UNFINISHED]
        for run in stopped:
            api.give_up(self.arguments.dag_id, run.id)
        deadline = time.monotonic() + STOP_SECONDS
        while any(has_live_job(api, sagemaker, self.arguments.dag_id, run.id) for run in stopped):
            if time.monotonic() > deadline:
                raise LaptopError(f"The backfill is cancelled, but after {STOP_SECONDS} s jobs of it still run.")
            time.sleep(POLL_SECONDS)
        for run in self.runs(api):
            if run.month in due:
                self.months[run.month] = collect(run.month, run, self.arguments.dag_id, api, sagemaker)

    def say(self, text: str) -> None:
        """A sentence."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def tell(self, seconds: float) -> None:
        """The summary."""
        months = list(self.months.values())
        print_table(self.console, months, self.metric)
        versions = sum(month.model_package_arn is not None for month in months)
        deployed = sum(month.deployed for month in months)
        self.say(f"\n{len(months)} months, {versions} versions, {deployed} deployed, in {seconds:.0f} s")
        self.say(f"for programs {LAST_BACKFILL}")


def interval(arguments: BackfillArguments) -> tuple[datetime, datetime]:
    """The first and the last moment of the months, UTC.

    A run's logical date is the start of its interval, the 1st at 06:00 of the month it is about; Airflow takes the
    logical dates from the one moment to the other, both included.
    """
    last = Period.parse(arguments.last)
    return Period.parse(arguments.first).first_day(), last.add(1).first_day() - timedelta(seconds=1)


def request(arguments: BackfillArguments) -> BackfillRequest:
    """What Airflow is asked for. `failed`: what failed is done again, what succeeded is kept, as make does."""
    first, last = interval(arguments)
    return {
        "dag_id": arguments.dag_id,
        "from_date": first.isoformat(),
        "to_date": last.isoformat(),
        "reprocess_behavior": "failed",
        "max_active_runs": RUNS_AT_ONCE,
    }


def has_live_job(api: AirflowApi, sagemaker: SageMaker, dag_id: str, run_id: str) -> bool:
    """Whether SageMaker still works on a job of the run."""
    jobs = (sagemaker.latest_job(*job) for job in job_names(api.xcom(dag_id, run_id, "plan")).items())
    return any(outcome_of(job) is Outcome.RUNNING for job in jobs if job)


def main(arguments: list[str]) -> int:
    """`python -m include.laptop.backfill MODEL FROM TO`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    console = Console()
    try:
        chosen = parse_backfill(*arguments)
        model = check_configuration(chosen.model, chosen.first, f"FROM={chosen.first}")
        lifecycle.check_not_in_use()
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    LAST_BACKFILL.unlink(missing_ok=True)
    console.print(f"Backfilling {chosen.model}, {chosen.first} to {chosen.last}", highlight=False)
    return Backfill(chosen, model.gate_metric, console).run()
