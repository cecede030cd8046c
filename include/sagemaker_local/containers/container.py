"""A running job process with its own /opt/ml: what a Docker container is on SageMaker."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.context import Settings


class Container:
    """Starts `command` with this environment for the job in `directory` (made by `isolation.prepare`).

    `on_line` gets every line of its output, `on_exit` is called once, after the last line; both from a thread of
    the container's. `network` is False for an isolated one. When this server dies, however it dies, the process and
    all its children die with it.
    """

    def __init__(
        self,
        mode: str,
        directory: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        on_line: Callable[[str], None],
        on_exit: Callable[[], None],
        network: bool = True,
    ) -> None:
        self.exit_code: int | None = None
        self._on_line, self._on_exit = on_line, on_exit
        self._process = subprocess.Popen(
            isolation.launch(
                mode, directory, [isolation.localise(mode, directory, part) for part in command], network=network
            ),
            env={name: isolation.localise(mode, directory, value) for name, value in environment.items()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._orders = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        self._reader = threading.Thread(target=self._read, name=f"container-{self.pid}", daemon=True)
        self._reader.start()

    def terminate(self) -> None:
        """SIGTERM to the job's first process only, as `docker stop` sends it."""
        self._order(b"T")

    def kill(self) -> None:
        """SIGKILL to everything in the container."""
        self._order(b"K")

    def _order(self, byte: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended already
            self._orders.write(byte)
            self._orders.flush()

    def _read(self) -> None:
        with self._output:
            for line in self._output:
                self._on_line(line.decode("utf-8", "replace").rstrip("\r\n"))
        self.exit_code = self._process.wait()
        with contextlib.suppress(OSError):
            self._orders.close()
        self._on_exit()


def aws_environment(settings: Settings, *, isolated: bool) -> dict[str, str]:
    """This server as AWS, for a container; an isolated one has no credentials, as on AWS.

    https://docs.aws.amazon.com/sagemaker/latest/dg/mkt-algo-model-internet-free.html
    """
    reach = {
        "AWS_ENDPOINT_URL": settings.url,
        "S3_ENDPOINT_URL": settings.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    return {
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        **({} if isolated else reach),
    }
