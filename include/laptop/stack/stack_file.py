"""`.local/stack.json`: which stack runs in this folder."""

from __future__ import annotations

import json
import os
from typing import TypedDict

import psutil

from include.laptop.layout import STACK_FILE, Addresses, write_json


class StackDescription(TypedDict):
    """`supervisor` is the number of its process, `detached` whether `make up` started it; addresses and ports."""

    supervisor: int
    detached: bool
    airflow: str
    sagemaker: str
    airflow_port: int
    sagemaker_port: int


def write_stack_file(where: Addresses, *, detached: bool) -> None:
    """Tell others what this process, the supervisor, runs."""
    description: StackDescription = {
        "supervisor": os.getpid(),
        "detached": detached,
        "airflow": where.airflow,
        "sagemaker": where.sagemaker,
        "airflow_port": where.airflow_port,
        "sagemaker_port": where.sagemaker_port,
    }
    write_json(STACK_FILE, description)


def running_stack() -> StackDescription | None:
    """What the file says, when its supervisor is alive."""
    try:
        description: StackDescription = json.loads(STACK_FILE.read_text())
        supervisor = psutil.Process(description["supervisor"])
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    return description if "include.laptop.stack.supervisor" in supervisor.cmdline() else None
