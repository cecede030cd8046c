"""All jobs of this server: starts them in turn, stops them, and settles what a former server left behind."""

from __future__ import annotations

import threading
from typing import Any

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.context import Context
from include.sagemaker_local.jobs.execution import cpus
from include.sagemaker_local.jobs.processing import ProcessingExecution
from include.sagemaker_local.jobs.queue import JobQueue
from include.sagemaker_local.jobs.record import PREFIX, PROCESSING, RESTARTED, TRAINING, JobRecord
from include.sagemaker_local.jobs.training import TrainingExecution
from include.sagemaker_local.jobs.transform import TransformExecution
from include.sagemaker_local.state.spot import SpotMarket

AnyExecution = ProcessingExecution | TrainingExecution | TransformExecution
LEAST_RUNNING = 4
"""Jobs of a kind that run at the same time on a machine with fewer processors: most jobs wait for something."""


class JobRunner:
    """Starts and stops jobs; one per server. `spot` says what Spot training meets."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.spot = SpotMarket(ctx.store)
        self._queues = {kind: JobQueue(max(LEAST_RUNNING, cpus())) for kind in PREFIX}
        self._lock = threading.Lock()
        self._executions: dict[tuple[str, str], AnyExecution] = {}
        self._settle()
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def start(self, kind: str, name: str) -> None:
        """Run a stored job."""
        queue = self._queues[kind]
        execution: AnyExecution
        if kind == TRAINING:
            execution = TrainingExecution(self._ctx, name, queue, self.spot)
        else:
            execution = (ProcessingExecution if kind == PROCESSING else TransformExecution)(self._ctx, name, queue)
        with self._lock:
            self._executions = {key: other for key, other in self._executions.items() if other.alive}
            self._executions[kind, name] = execution
        execution.start()

    def stop(self, kind: str, name: str) -> None:
        """Stop a job whose status was made Stopping."""
        with self._lock:
            execution = self._executions.get((kind, name))
        if execution is not None:
            execution.request_stop()

    def shutdown(self) -> None:
        """Kill all job processes; the next server makes their jobs Failed."""
        with self._lock:
            executions = list(self._executions.values())
        for execution in executions:
            execution.shut_down()

    def _warm_up(self) -> None:
        """Make the clients that jobs use, so that the first job does not wait for it."""
        for service in ("events", "s3", "logs"):
            self._ctx.client(service)

    def _settle(self) -> None:
        """Fail the jobs that ran when the server ended, and remove their directories."""
        for kind in PREFIX:
            for body in self._ctx.store.list(kind):
                record = JobRecord[Any](self._ctx, kind, body[f"{PREFIX[kind]}JobName"])
                if record.running:
                    record.fail(RESTARTED)
            for directory in (self._ctx.settings.state / "jobs" / kind).glob("*"):
                isolation.remove(directory)
