"""The processes under test: those of `make up`, but each can be killed and started again by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from include.laptop.layout import AIRFLOW_HOME, LOCAL, LOGS, Addresses
from include.laptop.stack.clients import client
from include.laptop.stack.components import (
    SAGEMAKER,
    Component,
    airflow,
    airflow_components,
    healthy_components,
    sagemaker_component,
)
from include.laptop.stack.environment import process_environment, write_passwords
from include.laptop.stack.processes import kill, log_tail, marked_processes, start, stop
from tests.chaos.project import HOME, SOURCE, VARIANTS, make_project, sow
from tests.chaos.waiting import NotHeld, require, until
from tests.conftest import free_port

START_SECONDS = 180
AIRFLOW = tuple(component.name for component in airflow_components())
# How soon Airflow sees that a process is dead. Its defaults are minutes: 300 s for a worker, 30 s for the others.
TUNING = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
    # Nobody changes the DAG files; reading them all the time would take a third of a core.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
}


class Stack:
    """Airflow and the local SageMaker, fresh, in RETRAINING_LOCAL and on ports of their own.

    `source` is the folder with the project's DAGs and environments, `variants` are its models, `tuning` is how soon
    Airflow misses a process: on a busy machine, too soon where nothing is killed.
    """

    def __init__(
        self, source: Path = SOURCE, variants: Sequence[str] = VARIANTS, tuning: dict[str, str] = TUNING
    ) -> None:
        self.source = source
        self.variants = variants
        self.where = Addresses(free_port(), free_port())
        self.running: dict[str, tuple[Component, subprocess.Popen[bytes]]] = {}
        self._starts = 0
        for folder in (AIRFLOW_HOME, LOGS, LOCAL / "sagemaker"):
            shutil.rmtree(folder, ignore_errors=True)
        self.environment = process_environment(self.where) | tuning
        self.environment |= {"RETRAINING_HOME": str(HOME), "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags")}
        self.components = {component.name: component for component in airflow_components()}
        sagemaker = sagemaker_component(self.where)
        # As on AWS, a container that goes on after SIGTERM is killed 120 s later; nobody wants to watch that here.
        self.components[SAGEMAKER] = replace(sagemaker, command=[*sagemaker.command, "--stop-grace-seconds", "2"])

    def up(self) -> None:
        """Start everything and wait until all are well."""
        kill(marked_processes())
        make_project(self.source, self.variants)
        write_passwords()
        self.start(SAGEMAKER)
        migration = start(Component("migrate", airflow("db", "migrate"), signal.SIGKILL, 1), self.environment)
        self.wait_for(SAGEMAKER)
        sow(client("s3", self.where), self.variants)
        require(migration.wait(START_SECONDS) == 0, log_tail(LOGS / "migrate.log"))
        self.start(*AIRFLOW)
        self.wait_for(*AIRFLOW)

    def down(self) -> None:
        """End everything."""
        stop(list(self.running.values()))

    def start(self, *names: str) -> None:
        """Start components; each start has a log of its own."""
        for name in names:
            self._starts += 1
            component = self.components[name]
            process = start(replace(component, name=f"{name}-{self._starts}"), self.environment)
            self.running[name] = component, process

    def kill(self, *names: str) -> None:
        """SIGKILL to components and all their children, as when their machine goes."""
        for name in names:
            _, process = self.running.pop(name)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill_worker(self, task_instance: str) -> None:
        """SIGKILL to the executor's worker process that has this task instance, and to the task's own process."""
        kill(self.worker(task_instance))

    def drain_worker(self, task_instance: str, seconds: float) -> None:
        """SIGTERM to that worker, which passes it on to the task, and SIGKILL after so many seconds."""
        worker, *children = self.worker(task_instance)
        worker.terminate()
        psutil.wait_procs([worker, *children], timeout=seconds)
        kill([worker, *children])

    def worker(self, task_instance: str) -> list[psutil.Process]:
        """The executor's worker process that has this task instance, and its children."""
        _, scheduler = self.running["scheduler"]
        for process in psutil.Process(scheduler.pid).children(recursive=True):
            if task_instance in " ".join(process.cmdline()):
                return [process, *process.children(recursive=True)]
        raise NotHeld(f"no worker process has the task instance {task_instance}")

    def drain(self, name: str, seconds: float) -> None:
        """SIGTERM to a component and all its children, SIGKILL after so many seconds, as when its machine goes down."""
        _, process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def second(self, alias: str, name: str) -> None:
        """Call the component that runs by an alias, and start another one of it under its name."""
        self.running[alias] = self.running.pop(name)
        self.start(name)

    @contextlib.contextmanager
    def stalled(self, name: str) -> Iterator[None]:
        """SIGSTOP to a component and all its children, SIGCONT at the end of the block."""
        _, process = self.running[name]
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGCONT)

    def wait_for(self, *names: str) -> None:
        """Until these components say that they are well. Raises NotHeld when one has ended instead."""

        def well() -> bool:
            for name, (_, process) in self.running.items():
                require(process.poll() is None, f"{name} ended with status {process.returncode}, see {LOGS}")
            return set(names) <= healthy_components(self.where)

        until(f"{', '.join(names)} well", well, START_SECONDS)
