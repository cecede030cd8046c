"""How a job gets an /opt/ml of its own on this machine: tried out once, in order of fidelity."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, cast

from include.sagemaker_local.containers.launcher import HOST_NETWORK, MOUNTS, NAMESPACES, NO_NETWORK, REWRITE

log = logging.getLogger(__name__)

ML = "/opt/ml"
_LAUNCHER = Path(__file__).with_name("launcher.py")
_REWRITTEN = {".py", ".sh", ".json", ".yaml", ".yml", ".toml", ".cfg", ".ini"}
_REWRITTEN_BYTES = 1_000_000
DESCRIPTIONS = {
    NAMESPACES: "mount and PID namespace of its own: /opt/ml is the job's, its process is PID 1",
    MOUNTS: "mount namespace of its own: /opt/ml is the job's; no PID namespace on this machine",
    REWRITE: "no namespaces on this machine: /opt/ml becomes the job's directory in commands, settings and code",
}


def probe(python: Path) -> str:
    """The best mode that works here. `python`, the job environment's interpreter, must stay visible in it."""
    for mode in (NAMESPACES, MOUNTS):
        error = try_out(mode, python)
        if error is None:
            return mode
        log.info("isolation mode %s does not work here: %s", mode, error)
    return REWRITE


def try_out(mode: str, python: Path) -> str | None:
    """None when a command sees the job's /opt/ml and the interpreter, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="sagemaker-local-") as temporary:
        directory = Path(temporary)
        prepare(directory)
        (directory / "ml" / "probe").touch()
        command = launch(mode, directory, ["test", "-f", f"{ML}/probe", "-a", "-x", str(python)])
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with process:  # its standard input stays open meanwhile: the end of that pipe would kill it
            output = cast("IO[bytes]", process.stdout).read().decode("utf-8", "replace").strip()
        return None if process.returncode == 0 else output or f"exit status {process.returncode}"


def prepare(directory: Path) -> None:
    """Make the parts of a job's directory: `ml` (its /opt/ml), `work`, `tmp`, and what the mounts need."""
    for name in ("ml", "work", "tmp", "shadow", "packages", "packages-work"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    system = Path("/etc/hosts")
    known = system.read_text(errors="replace") if system.exists() else "127.0.0.1 localhost\n"
    (directory / "hosts").write_text(f"{known.rstrip()}\n127.0.0.1 algo-1\n")


def remove(directory: Path) -> None:
    """Delete a job's directory, if it is there."""
    for work in directory.glob("packages-work/work"):
        work.chmod(0o700)  # the kernel leaves it closed even to its owner
    shutil.rmtree(directory, ignore_errors=True)


def launch(mode: str, directory: Path, command: list[str], *, network: bool = True) -> list[str]:
    """The command line of the launcher that runs `command` for the job in `directory`.

    Without `network` it reaches nothing but itself; where there are no namespaces, that cannot be had.
    """
    reach = HOST_NETWORK if network else NO_NETWORK
    return [sys.executable, "-I", "-S", str(_LAUNCHER), mode, str(directory), reach, *command]


def localise(mode: str, directory: Path, text: str) -> str:
    """The text as a job in this mode needs it: in rewrite mode with the job's directory in place of /opt/ml."""
    return text.replace(ML, str(directory / "ml")) if mode == REWRITE else text


def localise_files(mode: str, directory: Path, under: Path) -> None:
    """Do the same with the code and settings files in a folder; data and archives stay as they are."""
    if mode != REWRITE:
        return
    for path in under.rglob("*"):
        if path.suffix in _REWRITTEN and path.is_file() and path.stat().st_size <= _REWRITTEN_BYTES:
            content = path.read_bytes()
            changed = content.replace(ML.encode(), str(directory / "ml").encode())
            if changed != content:
                path.write_bytes(changed)
