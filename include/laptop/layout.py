"""Where things are on a laptop: folders under `.local/`, the two ports, and their addresses."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The tests keep out of the folder of whoever runs them.
LOCAL = Path(os.environ.get("RETRAINING_LOCAL", ROOT / ".local")).resolve()
LOGS = LOCAL / "logs"
AIRFLOW_HOME = LOCAL / "airflow"
STACK_FILE = LOCAL / "stack.json"
LAST_RUN = LOCAL / "last-run.json"
LAST_BACKFILL = LOCAL / "backfill.json"
REPORTS = LOCAL / "reports"
MODELS = ROOT / "include" / "models"
JOBS_PYTHON = ROOT / ".venv-jobs" / "bin" / "python"
HOST = "127.0.0.1"
REGION = "us-east-1"


class LaptopError(Exception):
    """What is wrong and what to do, in one sentence; the command ends with status 1 (or `status`)."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Addresses:
    """The two ports of the stack, on the loopback interface only."""

    airflow_port: int
    sagemaker_port: int

    @property
    def airflow(self) -> str:
        """Airflow's UI and REST API."""
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def sagemaker(self) -> str:
        """Every AWS service."""
        return f"http://{HOST}:{self.sagemaker_port}"


def write_json(file: Path, document: object) -> None:
    """Replace a JSON file as a whole: whoever reads it meanwhile finds the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(file)


@contextlib.contextmanager
def hold_folder() -> Iterator[None]:
    """Be the only one who starts or runs a stack in `.local`. Raises LaptopError while another one does."""
    LOCAL.mkdir(parents=True, exist_ok=True)
    with (LOCAL / "stack.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LaptopError(f"Another make run or make up is using {LOCAL}: wait until it has ended.") from error
        yield


def port_from(variable: str, default: int) -> int:
    """A port from the environment. Raises LaptopError when it is not a number from 1024 to 65535."""
    value = os.environ.get(variable, "") or str(default)
    if not value.isdecimal() or not 1024 <= int(value) <= 65535:
        raise LaptopError(f"{variable}={value} is not a port: give a number from 1024 to 65535.")
    return int(value)


def addresses() -> Addresses:
    """The ports as AIRFLOW_PORT (8080) and SAGEMAKER_PORT (5005) say."""
    found = Addresses(port_from("AIRFLOW_PORT", 8080), port_from("SAGEMAKER_PORT", 5005))
    if found.airflow_port == found.sagemaker_port:
        raise LaptopError(f"AIRFLOW_PORT and SAGEMAKER_PORT are both {found.airflow_port}: give each its own.")
    return found
