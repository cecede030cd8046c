"""What processing and training have in common: a thread that runs a job, and can be stopped from outside."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Generic

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.containers.container import Container, aws_environment
from include.sagemaker_local.containers.launcher import NAMESPACES, REWRITE
from include.sagemaker_local.containers.logs import LogStream
from include.sagemaker_local.containers.transfers import JobError
from include.sagemaker_local.context import Context
from include.sagemaker_local.jobs.job import JobT
from include.sagemaker_local.jobs.queue import JobQueue
from include.sagemaker_local.jobs.record import JobRecord

log = logging.getLogger(__name__)

INTERNAL_ERROR = "InternalServerError: We encountered an internal error.  Please try again."
_HANDED_DOWN = {"http_proxy", "https_proxy", "no_proxy", "ssl_cert_file", "requests_ca_bundle"}


class ShutdownError(Exception):
    """The server is going down; the job ends without another word, and is found and failed at the next start."""


class Cause(StrEnum):
    """Why waiting for a job ended."""

    EXITED = "exited"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    MAX_RUNTIME = "max-runtime"
    MAX_WAIT = "max-wait"
    WAITED = "waited"


class Execution(ABC, Generic[JobT]):
    """One job on its way to a terminal status. `directory` is its "instance": made for it, removed after it.

    `queue` is where it waits for its turn, see `take_turn`.
    """

    kind: str
    log_group: str

    def __init__(self, ctx: Context, name: str, queue: JobQueue) -> None:
        self.ctx, self.mode, self.name, self.queue = ctx, ctx.isolation, name, queue
        self.record: JobRecord[JobT] = JobRecord(ctx, self.kind, name)
        self.job: JobT = self.record.body
        instance = f"{name}-{int(self.job['CreationTime'] * 1000)}"
        self.directory = ctx.settings.state / "jobs" / self.kind / instance
        self.s3 = ctx.client("s3")
        self._changed = threading.Condition()
        self._stop_requested = False
        self._shutdown = False
        self._container: Container | None = None
        self._log: LogStream | None = None
        self._log_second = 0
        self._thread = threading.Thread(target=self._run_safely, name=f"{self.kind}-{name}", daemon=True)

    @abstractmethod
    def run(self) -> None:
        """Take the job to a terminal status. Raises JobError for a failure with a reason of its own."""

    def start(self) -> None:
        """Run the job in a thread of its own."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False when the job has come to its end."""
        return self._thread.is_alive()

    def fail(self, reason: str) -> None:
        """Make the job Failed for a reason that is not its container's exit."""
        self.record.fail(reason)

    def request_stop(self) -> None:
        """The user stops the job: SIGTERM, grace, SIGKILL."""
        self._stop_requested = True
        self.wake()

    def shut_down(self) -> None:
        """The server ends: kill the job's processes and leave its record as it is."""
        self._shutdown = True
        if self._container is not None:
            self._container.kill()
        self.wake()
        self._thread.join(timeout=5)

    def wake(self) -> None:
        """Something has happened that `wait` may be waiting for."""
        with self._changed:
            self._changed.notify_all()

    def _run_safely(self) -> None:
        try:
            try:
                self.run()
            except JobError as error:
                self.fail(str(error))
        except ShutdownError:
            pass
        except Exception:
            if not self._shutdown:
                log.exception("%s %s failed", self.kind, self.name)
                self.fail(INTERNAL_ERROR)
        finally:
            if self._container is not None:
                self._container.kill()
            isolation.remove(self.directory)
            if not self._shutdown:  # when the server ends, no other job is to begin
                self.queue.leave(self)

    def take_turn(self) -> Cause:
        """Wait until it is the job's turn on this machine: WAITED when it is, STOPPED by the user."""
        self.queue.enter(self)
        return self.wait_in_queue({})

    def wait_in_queue(self, deadlines: Mapping[Cause, float]) -> Cause:
        """The same for a job that is in the queue already."""
        return self.wait(deadlines, lambda: Cause.WAITED if self.queue.admits(self) else None)

    def wait(self, deadlines: Mapping[Cause, float], happened: Callable[[], Cause | None] = lambda: None) -> Cause:
        """Sleep until something happens, the user stops the job, or the first deadline (epoch seconds) has passed."""
        cause, deadline = min(deadlines.items(), key=lambda item: item[1], default=(Cause.WAITED, float("inf")))
        with self._changed:
            while True:
                if self._shutdown:
                    raise ShutdownError
                if self._stop_requested:
                    return Cause.STOPPED
                if found := happened():
                    return found
                remaining = deadline - time.time()
                if remaining <= 0:
                    return cause
                self._changed.wait(min(remaining, threading.TIMEOUT_MAX))

    def fresh_instance(self) -> Path:
        """An empty instance, and its /opt/ml as a folder here."""
        isolation.remove(self.directory)
        isolation.prepare(self.directory)
        return self.directory / "ml"

    def local_path(self, path: str) -> Path:
        """The folder here that a path under /opt/ml is."""
        return self.directory / "ml" / Path(path).relative_to(isolation.ML)

    def write_config(self, path: str, content: object) -> None:
        """Write one of the JSON files that SageMaker gives a container."""
        file = self.local_path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(isolation.localise(self.mode, self.directory, json.dumps(content)))

    def start_container(self, command: Sequence[str], environment: Mapping[str, str]) -> Container:
        """Start the job's process, with a log stream of its own."""
        if self._shutdown:
            raise ShutdownError
        self._log_second = max(int(time.time()), self._log_second + 1)
        self._log = LogStream(self.ctx, self.log_group, f"{self.name}/algo-1-{self._log_second}")
        if self.mode != NAMESPACES:
            self._log.write(f"[local SageMaker] {isolation.DESCRIPTIONS[self.mode]}")
        complete = {**self._environment(), **environment}
        self._container = Container(
            self.mode,
            self.directory,
            command,
            complete,
            on_line=self.on_line,
            on_exit=self.wake,
            network=not self.isolated,
        )
        return self._container

    def end_container(self, container: Container, *, at_once: bool = False) -> None:
        """End the job's process if it still runs, and wait until its last line is in CloudWatch.

        `at_once` is SIGKILL; otherwise as `docker stop`: SIGTERM, the grace of the settings, SIGKILL.
        """
        if container.exit_code is None and not at_once:
            container.terminate()
            self._await_exit(container, self.ctx.settings.stop_grace_seconds)
        container.kill()
        self._await_exit(container, None)
        if self._log is not None:
            self._log.close()

    def _await_exit(self, container: Container, seconds: float | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: container.exit_code is not None or self._shutdown, seconds)
        if self._shutdown:
            raise ShutdownError

    def on_line(self, line: str) -> None:
        """A line of the job's output."""
        if self._log is not None:
            self._log.write(line)

    def append_to_log(self, line: str) -> None:
        """Add a line to the log of the last container, which has ended."""
        stream = LogStream(self.ctx, self.log_group, f"{self.name}/algo-1-{self._log_second}")
        stream.write(f"[local SageMaker] {line}")
        stream.close()

    @property
    def isolated(self) -> bool:
        """Whether the request asks for network isolation."""
        return False

    def _environment(self) -> dict[str, str]:
        """What every container finds: the job environment's programs first, and this server as AWS."""
        settings = self.ctx.settings
        home = settings.state / "jobs" / "home"
        home.mkdir(parents=True, exist_ok=True)
        handed_down = {k: v for k, v in os.environ.items() if k.lower() in _HANDED_DOWN or k.startswith("PIP_")}
        base = {"SAGEMAKER_BASE_DIR": isolation.ML, "SM_STUDIO_LOCAL_MODE": "true"}
        if self.isolated:
            handed_down = {}
        return {
            **handed_down,
            **(base if self.mode == REWRITE else {}),
            "PATH": f"{settings.python.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(home),
            "TMPDIR": str(self.directory / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(cpus()),
            **aws_environment(settings, isolated=self.isolated),
        }


def cpus() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
