"""Starting a serving container: the model server under the job environment's Python, the model in its /opt/ml/model."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.containers.container import Container
from include.sagemaker_local.containers.logs import LogStream
from include.sagemaker_local.containers.model_server import ModelServer
from include.sagemaker_local.context import Context
from include.sagemaker_local.jobs.execution import aws_environment

SERVE = Path(__file__).with_name("programs") / "serve.py"

SKLEARN, XGBOOST = "sagemaker_sklearn_container.serving:main", "sagemaker_xgboost_container.serving:main"
"""What AWS's images set themselves: whose functions stand in for those that a script does not have."""


def prepare(ctx: Context, directory: Path) -> None:
    """Make a new container's directory; its `ml` becomes /opt/ml."""
    isolation.prepare(directory)
    isolation.localise_files(ctx.jobs.isolation, directory, directory / "ml")


def model_server(ctx: Context, directory: Path, container: dict[str, Any], logs: LogStream) -> ModelServer:
    """The model server of a `serving_container` in a directory made by `prepare`, not started yet."""
    reserved = _reserve_port()
    environ = environment(ctx, directory, container, reserved.getsockname()[1])
    run = partial(start, ctx, directory, environ)
    return ModelServer(reserved, run, logs, ctx.settings.start_failure_seconds)


def _reserve_port() -> socket.socket:
    """A free loopback port. We hold it too (without listening) while the container lives, so that nobody gets it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def environment(ctx: Context, directory: Path, container: dict[str, Any], port: int) -> dict[str, str]:
    """What a serving container finds in its environment; `container` is a `serving_container`.

    One OpenMP thread, as in AWS's own containers: for single rows, more threads cost more than they bring.
    """
    settings = ctx.settings
    return {
        "PATH": f"{settings.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(directory / "work"),
        "TMPDIR": str(directory / "tmp"),
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_BASE_DIR": isolation.ML,
        "SAGEMAKER_SERVING_MODULE": SKLEARN if "scikit-learn" in container["Image"] else XGBOOST,
        **aws_environment(settings, isolated=container.get("Isolated", False)),
        **container["Environment"],
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }


def start(
    ctx: Context,
    directory: Path,
    environ: dict[str, str],
    on_line: Callable[[str], None],
    on_exit: Callable[[], None],
) -> Container:
    """Start the model server in a directory made by `prepare`."""
    command = [str(ctx.settings.python), "-P", str(SERVE)]
    return Container(ctx.jobs.isolation, directory, command, environ, on_line=on_line, on_exit=on_exit)
