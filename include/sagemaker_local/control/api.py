"""What is not part of AWS: `/_local/…`, where people and tests see and steer the local SageMaker."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Protocol, TypedDict

from include.sagemaker_local import __version__
from include.sagemaker_local.control.faults import Faults
from include.sagemaker_local.http.guard import ROOT
from include.sagemaker_local.http.types import Reply
from include.sagemaker_local.operations.table import OperationContext
from include.sagemaker_local.pages.jobs import JOBS, answer_page
from include.sagemaker_local.pages.objects import OBJECTS, answer_object
from include.sagemaker_local.pages.registry import MODELS, answer_models_page
from include.sagemaker_local.state.packages import PackageValidation
from include.sagemaker_local.state.quotas import Quotas

HEALTH, SPOT, FAULTS = f"{ROOT}health", f"{ROOT}spot", f"{ROOT}faults"
PACKAGES, QUOTAS = f"{ROOT}packages", f"{ROOT}quotas"
SWITCHES = (HEALTH, SPOT, FAULTS, PACKAGES, QUOTAS)
PAGES = ((JOBS, answer_page), (MODELS, answer_models_page), (OBJECTS, answer_object))


class Health(TypedDict):
    """What `/_local/health` answers."""

    status: str
    version: str
    isolation: str
    """How jobs are kept apart from the machine."""
    python: str
    """The interpreter of jobs."""
    state: str
    """The state directory."""
    memory_rss_bytes: int
    pid: int
    uptime_seconds: float


class Switch(Protocol):
    """Settings that GET answers and PUT replaces; `change` raises ValueError that says what is wrong."""

    @property
    def settings(self) -> Mapping[str, object]: ...
    def change(self, settings: Mapping[str, object]) -> Mapping[str, object]: ...


class ControlApi:
    """Answers every path below `ROOT`."""

    def __init__(self, context: OperationContext, faults: Faults) -> None:
        self._context = context
        self._started = time.time()
        self._switches: dict[str, Switch] = {
            SPOT: context.jobs.spot,
            FAULTS: faults,
            PACKAGES: PackageValidation(context.store),
            QUOTAS: Quotas(context.store),
        }

    def answer(self, path: str, method: str, body: bytes) -> Reply:
        """The reply to one request: `PAGES` are for people, the rest is JSON; what is wrong is a JSON `error`."""
        method = "GET" if method == "HEAD" else method  # its body is left out where replies are sent
        for root, answer in PAGES:
            if path == root or path.startswith(f"{root}/"):
                return answer(self._context, path) if method == "GET" else _wrong_method(path, method, "GET")
        if path == HEALTH:
            return _json(200, self._health())
        if path in self._switches:
            return _answer_switch(self._switches[path], path, method, body)
        known = ", ".join((HEALTH, *self._switches))
        pages = ", ".join(root for root, _ in PAGES)
        return _json(404, {"error": f"{path} does not exist; there are {known}, {pages}"})

    def _health(self) -> Health:
        settings = self._context.settings
        return {
            "status": "ok",
            "version": __version__,
            "isolation": self._context.isolation,
            "python": str(settings.python),
            "state": str(settings.state),
            "memory_rss_bytes": _resident_bytes(),
            "pid": os.getpid(),
            "uptime_seconds": round(time.time() - self._started, 1),
        }


def _answer_switch(switch: Switch, path: str, method: str, body: bytes) -> Reply:
    if method == "GET":
        return _json(200, switch.settings)
    if method != "PUT":
        return _wrong_method(path, method, "GET or PUT")
    try:
        settings = json.loads(body)
    except (ValueError, RecursionError) as error:
        return _json(400, {"error": f"the body is not JSON: {error}"})
    if not isinstance(settings, dict):
        return _json(400, {"error": "the body must be a JSON object of settings"})
    try:
        return _json(200, switch.change(settings))
    except ValueError as error:
        return _json(400, {"error": str(error)})


def _wrong_method(path: str, method: str, right: str) -> Reply:
    return _json(405, {"error": f"{method} is not possible for {path}; use {right}"})


def _json(status: int, content: Mapping[str, object]) -> Reply:
    return status, [("Content-Type", "application/json")], json.dumps(content).encode()


def _resident_bytes() -> int:
    """Memory this process holds now; -1 where /proc does not say."""
    try:
        with open("/proc/self/statm") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return -1
