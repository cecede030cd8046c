"""The processes of the stack: what is started, with which command, and how one sees that it is well."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.laptop.layout import HOST, JOBS_PYTHON, LOCAL, Addresses

SAGEMAKER = "local SageMaker"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses on this machine, whatever proxy the user's environment names."""


@dataclass(frozen=True)
class Component:
    """A process; `patience` is how many seconds it gets after `stop_signal` before it is killed."""

    name: str
    command: list[str]
    stop_signal: signal.Signals
    patience: float

    @property
    def log_name(self) -> str:
        """File name of its log in `.local/logs`."""
        return self.name.lower().replace(" ", "-") + ".log"


def airflow(*arguments: str) -> list[str]:
    """A command of the Airflow beside this Python."""
    return [str(Path(sys.executable).with_name("airflow")), *arguments]


def sagemaker_component(addresses: Addresses) -> Component:
    """The local SageMaker; SIGTERM lets it stop its jobs and endpoints."""
    command = [sys.executable, "-m", "include.sagemaker_local", "--host", HOST, "--port", str(addresses.sagemaker_port)]
    command += ["--state", str(LOCAL / "sagemaker"), "--python", str(JOBS_PYTHON)]
    return Component(SAGEMAKER, command, signal.SIGTERM, patience=15)


def airflow_components() -> list[Component]:
    """Airflow's four processes. No log servers: the API server reads the log files itself."""
    return [
        Component("api-server", airflow("api-server"), signal.SIGINT, patience=10),
        # The executor's workers ignore SIGINT and end with the scheduler when their tasks are done.
        Component("scheduler", airflow("scheduler", "--skip-serve-logs"), signal.SIGINT, patience=10),
        Component("dag-processor", airflow("dag-processor"), signal.SIGINT, patience=10),
        # Takes 11 s to end by itself; its triggers are rows in the database, so killing it loses nothing.
        Component("triggerer", airflow("triggerer", "--skip-serve-logs"), signal.SIGINT, patience=1),
    ]


def get_json(url: str) -> dict[str, Any] | None:
    """The JSON behind an address, or None when nothing answers (yet)."""
    try:
        with DIRECT.open(url, timeout=5) as answer:
            body: dict[str, Any] = json.load(answer)
            return body
    except (OSError, ValueError):
        return None


def healthy_components(addresses: Addresses) -> set[str]:
    """Names of the components that say they are well."""
    healthy = {SAGEMAKER} if get_json(f"{addresses.sagemaker}/_local/health") else set()
    health = get_json(f"{addresses.airflow}/api/v2/monitor/health") or {}
    if health:
        healthy.add("api-server")
    for key, name in (("scheduler", "scheduler"), ("triggerer", "triggerer"), ("dag_processor", "dag-processor")):
        if (health.get(key) or {}).get("status") == "healthy":
            healthy.add(name)
    return healthy
