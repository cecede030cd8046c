"""Starting a serving container: the model server under the job environment's Python, the model in its /opt/ml/model."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from include.sagemaker_local.jobs import isolation
from include.sagemaker_local.jobs.container import Container
from include.sagemaker_local.service import Settings

SERVE = Path(__file__).resolve().parent.parent / "container" / "serve.py"

_mode = cache(isolation.probe)


def prepare(settings: Settings, directory: Path) -> None:
    """Make a new container's directory; its `ml` becomes /opt/ml."""
    isolation.prepare(directory)
    isolation.localise_files(_mode(settings.python), directory, directory / "ml")


def environment(settings: Settings, container: dict[str, Any], port: int) -> dict[str, str]:
    """What a serving container finds in its environment; `container` is a `serving_container`."""
    return {
        "PATH": f"{settings.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_BASE_DIR": isolation.ML,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ENDPOINT_URL": settings.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        **container["Environment"],
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }


def start(
    settings: Settings,
    directory: Path,
    environ: dict[str, str],
    on_line: Callable[[str], None],
    on_exit: Callable[[], None],
) -> Container:
    """Start the model server in a directory made by `prepare`."""
    command = [str(settings.python), "-P", str(SERVE)]
    return Container(_mode(settings.python), directory, command, environ, on_line=on_line, on_exit=on_exit)
