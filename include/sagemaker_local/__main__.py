"""`python -m include.sagemaker_local`: run the local SageMaker until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import ctypes
import ipaddress
import logging
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from include.sagemaker_local.context import Settings

DEFAULT_PYTHON = Path(".venv-jobs/bin/python")

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
SIGNAL_SECONDS = 0.5
"""The kernel may hand a signal to any thread, but Python runs handlers in the main one, which must wake up for it."""


_SECONDS = {
    "stop_grace_seconds": "time between SIGTERM and SIGKILL when a job is stopped; AWS: 120",
    "serverless_idle_seconds": "time after which a serverless variant's idle container ends",
    "invocation_seconds": "time an endpoint's container has for an answer; AWS: 60",
    "start_failure_seconds": "time for which a container that fails at its start is started again; AWS: to 3600",
}
"""Settings that are options of the command line, and what they mean."""


class StartError(Exception):
    """The server cannot start; the message is one sentence that says why and what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, serve until a signal, and return the exit status (2: it could not start)."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("botocore", "boto3", "werkzeug", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        settings = parse(arguments)
        forget_aws_configuration()
        return_memory()
        return serve(settings)
    except StartError as error:
        sys.stderr.write(f"sagemaker_local: {error}\n")
        return 2


def parse(arguments: list[str] | None) -> Settings:
    """The settings of the command line; raises StartError for a state directory or interpreter that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m include.sagemaker_local", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="IP address to listen on (default: %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name by which programs reach it, beside localhost and addresses; repeatable",
    )
    parser.add_argument("--port", type=int, default=5005, help="port of all AWS services (default: %(default)s)")
    parser.add_argument(
        "--state", type=Path, default=Path(".local/sagemaker"), help="directory that keeps everything (%(default)s)"
    )
    parser.add_argument(
        "--python", type=Path, default=DEFAULT_PYTHON, help="interpreter that jobs and endpoints use (%(default)s)"
    )
    for name, meaning in _SECONDS.items():
        help_text = f"{meaning} (default: %(default)s)"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Settings, name), help=help_text)
    options = parser.parse_args(arguments)
    try:
        ipaddress.ip_address(options.host)
    except ValueError:
        raise StartError(
            f"--host {options.host} is not an IP address; use one such as 127.0.0.1, because boto3 addresses S3 "
            f"buckets as subdomains of a host name"
        ) from None
    return Settings(
        options.host,
        options.port,
        writable(options.state),
        interpreter(options.python),
        **{name: getattr(options, name) for name in _SECONDS},
        allow_hosts=tuple(options.allow_host),
    )


def writable(state: Path) -> Path:
    """The state directory, created; StartError when it cannot be written."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"the state directory {state} cannot be written ({error.strerror}); name another one with --state"
        ) from error
    return state.resolve()


def interpreter(python: Path) -> Path:
    """The jobs' interpreter as an absolute path; StartError when there is none.

    Symbolic links stay: a virtual environment's python is one, and resolving it would leave the environment.
    """
    found = shutil.which(str(python))
    if found is None:
        raise StartError(
            f"the interpreter of the jobs, {python}, does not exist or cannot be run; run `make setup` or name one "
            f"with --python"
        )
    return Path(found).absolute()


def forget_aws_configuration() -> None:
    """Keep the user's AWS profile, credentials and instance metadata out of this process: it talks to itself only."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true"
    )


def return_memory() -> None:
    """Make glibc give large buffers (S3 objects in transit) back at once instead of keeping some per thread.

    Measured with a 64 MB object and the year's data: 355 MB resident without, 139 MB with. Other C libraries do not
    have the call, nor the need.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def serve(settings: Settings) -> int:
    """Listen, serve, and shut everything down in order at the first SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    from include.sagemaker_local.server import Server

    try:
        server = Server(settings)
    except (OSError, ValueError) as error:
        raise StartError(str(error)) from error
    server.start()
    logging.getLogger(__name__).info("serving on %s, state in %s", settings.url, settings.state)
    while not stop.wait(SIGNAL_SECONDS):
        continue
    server.stop()
    logging.shutdown()
    os._exit(0)  # all is saved; a request that still runs must not hold the process


if __name__ == "__main__":
    sys.exit(main())
