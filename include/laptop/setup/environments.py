"""Set-up: `.venv` (Airflow, the local SageMaker, the driver, this project) and `.venv-jobs` (what job scripts run in).

Runs with the system's Python and the standard library only: `python include/laptop/setup/environments.py {run,dev}`.
A stamp in each environment says which lock it holds. Another lock: the difference is installed. No stamp: the
environment is made anew, so an interrupted set-up repairs itself. When all stamps are right it does nothing.

`uv sync --frozen` would do it in one command, but it downloads from the addresses in uv.lock and takes no mirror
(https://github.com/astral-sh/uv/issues/19625). So uv.lock is exported as requirements with hashes, which are installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "uv.lock"
LOG = ROOT / ".local" / "logs" / "setup.log"
STAMP = "setup-stamp.json"
UV = ROOT / ".venv-uv"
EXPORT = ("export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--python", sys.executable)
FREE_BYTES_NEEDED = 3 * 1000**3
UNREACHABLE = (
    "error sending request",
    "dns error",
    "newconnectionerror",
    "failed to establish a new connection",
    "temporary failure in name resolution",
    "connecttimeout",
    "proxyerror",
    "ssl error",
    "network connectivity is disabled",
)


class SetupError(Exception):
    """What is wrong with this machine and what to do, in one sentence."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, installed from a requirements lock, or from a `group` of uv.lock with the project."""

    title: str
    folder: Path
    lock: Path
    group: str = ""

    def stamp(self) -> dict[str, str]:
        """What this environment must hold, where it stands and the Python it was made with."""
        digest = hashlib.sha256(self.lock.read_bytes())
        if self.group:
            project = tomllib.loads(PROJECT.read_text())
            digest.update(json.dumps([project["project"], project["build-system"]]).encode())
        return {
            "group": self.group,
            "lock": digest.hexdigest(),
            "folder": str(self.folder),
            "python": platform.python_version(),
        }

    def is_sound(self) -> bool:
        """Whether an install ended well here, of whatever lock, with this Python and in this place."""
        stamp = self.folder / STAMP
        if not stamp.is_file() or not (self.folder / "bin" / "python").exists():
            return False
        found, wanted = json.loads(stamp.read_text()), self.stamp()
        return found.keys() == wanted.keys() and all(found[key] == wanted[key] for key in ("folder", "python"))

    def holds_group(self) -> bool:
        """Whether it holds this group of whatever lock."""
        return self.is_sound() and bool(json.loads((self.folder / STAMP).read_text())["group"] == self.group)

    def is_ready(self) -> bool:
        """Whether it holds this lock."""
        return self.is_sound() and json.loads((self.folder / STAMP).read_text()) == self.stamp()


def wanted(profile: str) -> list[Environment]:
    """The environments of a profile, which is a group of uv.lock.

    `run` is Airflow and the local SageMaker; `dev` adds the tools of the tests. A `.venv` of `dev` serves both.
    """
    run = Environment("Airflow, the Amazon provider and the local SageMaker", ROOT / ".venv", LOCK, "run")
    dev = Environment(
        "Airflow, the Amazon provider, the local SageMaker and the tools of the tests", run.folder, LOCK, "dev"
    )
    jobs = Environment("job scripts: XGBoost, pandas", ROOT / ".venv-jobs", ROOT / "locks" / "jobs.txt")
    return [dev if profile == "dev" or dev.holds_group() else run, jobs]


def check_machine(free_bytes: int) -> None:
    """Raise SetupError for what would make an install fail half way: disk, venv module, compiler, headers."""
    if free_bytes < FREE_BYTES_NEEDED:
        raise SetupError(
            f"Set-up needs 3 GB of free disk and {ROOT} has {free_bytes / 1000**3:.1f} GB: free some and run it again."
        )
    try:
        import ensurepip
        import venv
    except ImportError as error:
        raise SetupError(
            f"{sys.executable} has no module {error.name} (Debian and Ubuntu: apt-get install "
            f"python3.{sys.version_info.minor}-venv)."
        ) from error
    del ensurepip, venv
    check_compiler(shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"))


def check_compiler(compiler: list[str]) -> None:
    """sagemaker-training is a C extension without wheels: see whether three lines with Python.h compile."""
    debian = f"apt-get install gcc libc6-dev python3.{sys.version_info.minor}-dev"
    advice = f"(Debian and Ubuntu: {debian}; macOS: xcode-select --install)"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text("#include <Python.h>\n#include <unistd.h>\nint probe(void) { return 0; }\n")
        command = [*compiler, f"-I{sysconfig.get_paths()['include']}", "-c", str(source), "-o", f"{folder}/probe.o"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise SetupError(
                f"No C compiler: {compiler[0]} does not start; sagemaker-training needs one {advice}."
            ) from error
    if result.returncode:
        what = (
            "no headers of Python (Python.h)" if "Python.h" in result.stderr else "a C compiler that does not compile"
        )
        raise SetupError(f"There is {what}; sagemaker-training needs it to be built {advice}.")


def registry_settings() -> dict[str, str]:
    """uv does not read pip's configuration: hand it the index and the certificates that pip is told to use."""
    settings: dict[str, str] = {}
    if "UV_DEFAULT_INDEX" not in os.environ and "UV_INDEX_URL" not in os.environ:
        asked = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
            capture_output=True,
            text=True,
            check=False,
        )
        index = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
        if index:
            settings["UV_DEFAULT_INDEX"] = index
    if "PIP_CERT" in os.environ and "SSL_CERT_FILE" not in os.environ:
        settings["SSL_CERT_FILE"] = os.environ["PIP_CERT"]
    return settings


def execute(command: list[str], settings: dict[str, str]) -> None:
    """Run an install command, its output into the log. Raises SetupError with the reason when it fails."""
    with LOG.open("a+") as log:
        log.write(f"\n$ {shlex.join(command)}\n")
        log.flush()
        start = log.seek(0, os.SEEK_END)
        code = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **settings}, cwd=ROOT, check=False
        ).returncode
        if code == 0:
            return
        log.seek(start)
        output = log.read()
    if any(sign in output.lower() for sign in UNREACHABLE):
        raise SetupError(
            "The package registry cannot be reached: check the network, or name a mirror with UV_DEFAULT_INDEX "
            f"or PIP_INDEX_URL (details: {LOG})."
        )
    reason = " ".join(line.strip() for line in output.splitlines() if line.strip())[-300:]
    raise SetupError(f"{Path(command[0]).name} failed: {reason} (details: {LOG}).")


def installer() -> str:
    """uv, installed by pip. It has wheels for more machines than XGBoost has, so there is no other way to install."""
    environment = Environment("uv", UV, ROOT / "locks" / "uv.txt")
    if not environment.is_ready():
        shutil.rmtree(UV, ignore_errors=True)
        execute([sys.executable, "-m", "venv", str(UV)], {})
        pip = [str(UV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--retries", "1", "--require-hashes"]
        execute([*pip, "--no-deps", "--only-binary", ":all:", "-r", str(environment.lock)], {})
        (UV / STAMP).write_text(json.dumps(environment.stamp()))
    return str(UV / "bin" / "uv")


def install(environment: Environment, uv: str) -> None:
    """Fill the environment from its lock: as it stands when its stamp is sound, else anew. The stamp comes last."""
    stamp = environment.folder / STAMP
    if environment.is_sound():
        stamp.unlink()
    else:
        shutil.rmtree(environment.folder, ignore_errors=True)
        execute([sys.executable, "-m", "venv", "--without-pip", str(environment.folder)], {})
    requirements = environment.lock
    if environment.group:
        requirements = LOG.with_name(f"{environment.group}-requirements.txt")
        execute([uv, *EXPORT, "--group", environment.group, "--output-file", str(requirements)], {})
    python = str(environment.folder / "bin" / "python")
    execute([uv, "pip", "sync", "--python", python, "--require-hashes", str(requirements)], registry_settings())
    if environment.group:
        install_project(environment, uv)
    stamp.write_text(json.dumps(environment.stamp()))


def install_project(environment: Environment, uv: str) -> None:
    """Let the environment find `sagemaker_retraining` in plugins/. uv builds that itself, so no index is asked."""
    python = str(environment.folder / "bin" / "python")
    execute([uv, "pip", "install", "--python", python, "--offline", "--no-deps", "--editable", str(ROOT)], {})


def installed(environment: Environment) -> str:
    """`172 packages, 640 MB`: what was installed."""
    files = (Path(folder) / name for folder, _, names in os.walk(environment.folder) for name in names)
    size = sum(file.lstat().st_size for file in files)
    packages = sum(1 for _ in environment.folder.glob("lib/python*/site-packages/*.dist-info"))
    return f"{packages} packages, {size / 1000**2:.0f} MB"


@contextlib.contextmanager
def step(number: int, count: int, title: str) -> Iterator[list[str]]:
    """Print `[2/4] title … 21 s, <what the block appends>`."""
    sys.stdout.write(f"[{number}/{count}] {title} … ")
    sys.stdout.flush()
    started = time.monotonic()
    found: list[str] = []
    try:
        yield found
    except BaseException:
        sys.stdout.write("failed\n")
        raise
    sys.stdout.write(", ".join([f"{time.monotonic() - started:.0f} s", *found]) + "\n")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two `make` in one folder wait for each other instead of deleting each other's work."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with (ROOT / ".local" / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(profile: str) -> None:
    """Make what is missing for the profile. Raises SetupError when this machine cannot."""
    with one_at_a_time():
        missing = [environment for environment in wanted(profile) if not environment.is_ready()]
        if not missing:
            return
        count = 2 + len(missing)
        with step(1, count, f"Checking this machine: Python {platform.python_version()}, compiler, disk"):
            check_machine(shutil.disk_usage(ROOT).free)
        with step(2, count, "The installer, uv"):
            uv = installer()
        for number, environment in enumerate(missing, start=3):
            with step(number, count, f"{environment.folder.name}: {environment.title}") as found:
                install(environment, uv)
                found.append(installed(environment))


def main(arguments: list[str]) -> int:
    """Command line: the profile. Exit status 0, or 1 after one sentence on what is wrong."""
    try:
        set_up(arguments[0])
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; the same command starts where it is needed.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
