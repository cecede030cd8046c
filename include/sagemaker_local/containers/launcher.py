"""Starts a job's command in a container-like environment; run as a script, one process per job.

`python launcher.py <mode> <directory> <network> <command> [<argument> …]`; mode and directory as in `container.py`;
network is `host`, or `none` for a network namespace of its own with a loopback and nothing else.

- Packages that the job installs are its own: a layer over the virtual environment that is first on its PATH.
- The job's process sees `<directory>/ml` as /opt/ml (a mount namespace; no other process sees it) and is PID 1
  of a PID namespace, so that its end is the end of everything it started.
- Standard input is the control pipe: a byte `T` sends SIGTERM to the job's process, and to it only, as
  `docker stop` does; `K`, or the end of the pipe because the server died, kills the job with all its children.
- The exit status is the job's; 128 + N for signal N; 125 when /opt/ml could not be set up, 127 when the command
  could not be run.

Only the standard library, because it starts with every job and must start quickly.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import sys
from pathlib import Path

NAMESPACES = "namespaces"
MOUNTS = "mounts"
REWRITE = "rewrite"
HOST_NETWORK, NO_NETWORK = "host", "none"

OPT = Path("/opt")
SETUP_FAILED = 125
COMMAND_FAILED = 127

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_MS_BIND, _MS_MOVE, _MS_REC, _MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


def main(mode: str, directory: Path, network: str, command: list[str]) -> int:
    """Run the command to its end and return the exit status."""
    try:
        if mode == REWRITE:
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        else:
            _enter_namespaces(with_pids=mode == NAMESPACES, with_network=network == NO_NETWORK)
            _mount_opt_ml(directory)
            _keep_environment(directory)
    except OSError as error:
        return _report(f"cannot isolate the job ({mode}): {error}", SETUP_FAILED)
    wake = _wake_on_child_exit()
    child = os.fork()
    if child == 0:
        os._exit(_execute(mode, directory, command))
    _obey_until_exit(child, mode, wake)
    _kill(child, mode)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if mode != NAMESPACES:
        _kill_adopted()
    return status if status >= 0 else 128 - status


def _wake_on_child_exit() -> int:
    """A descriptor that becomes readable when a child ends. (A thread cannot wait for it: with a PID namespace for
    its children a process cannot start threads.)"""
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wake


def _execute(mode: str, directory: Path, command: list[str]) -> int:
    """In the child: become the job's process. Returns only when that fails."""
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        if mode == NAMESPACES:
            _mount("proc", "/proc", "proc", 0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.chdir(directory / "work")
    except OSError as error:
        return _report(f"cannot set up the job's process ({mode}): {error}", SETUP_FAILED)
    try:
        os.execvp(command[0], command)  # noqa: S606  (no shell is the point)
    except OSError as error:
        return _report(f"cannot run {command[0]}: {error.strerror}", COMMAND_FAILED)


def _obey_until_exit(child: int, mode: str, wake: int) -> None:
    """Do what the control pipe says until the job's process has ended; it is not reaped yet, so its number is safe."""
    watched = [0, wake]
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        ready, _, _ = select.select(watched, [], [])
        if wake in ready:
            os.read(wake, 512)
        if 0 in ready:
            byte = os.read(0, 1)
            if byte == b"T":
                os.kill(child, signal.SIGTERM)
                continue
            _kill(child, mode)
            watched = [wake]


def _kill(child: int, mode: str) -> None:
    """Kill the job's process, and what it started: PID 1 takes its namespace with it, else its process group goes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(child, signal.SIGKILL)
        if mode != NAMESPACES:
            os.killpg(child, signal.SIGKILL)


def _kill_adopted() -> None:
    """Kill what left the job's process group: as subreaper this process inherits it, generation after generation."""
    while pids := [int(pid) for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _enter_namespaces(with_pids: bool, with_network: bool) -> None:
    """A mount namespace of our own, if asked for a network namespace, and a PID namespace for our children; without
    root, inside a user namespace."""
    flags = _CLONE_NEWNS | (_CLONE_NEWPID if with_pids else 0) | (_CLONE_NEWNET if with_network else 0)
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 or _libc.unshare(flags) != 0:
        _check(_libc.unshare(flags | _CLONE_NEWUSER), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    if not with_pids:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    if with_network:
        _start_loopback()


def _start_loopback() -> None:
    """Programs that talk to themselves may go on; a new network namespace has its loopback down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def _mount_opt_ml(directory: Path) -> None:
    """Show `<directory>/ml` as /opt/ml, keep all else in /opt visible, and resolve the host name algo-1."""
    ml = OPT / "ml"
    if ml.is_dir():
        _mount(str(directory / "ml"), str(ml), None, _MS_BIND)
    else:
        shadow = directory / "shadow"
        _mount("tmpfs", str(shadow), "tmpfs", 0)
        for sibling in OPT.iterdir() if OPT.is_dir() else ():
            _show(sibling, shadow / sibling.name)
        (shadow / "ml").mkdir()
        _mount(str(directory / "ml"), str(shadow / "ml"), None, _MS_BIND)
        _mount(str(shadow), str(OPT), None, _MS_MOVE)
    _mount(str(directory / "hosts"), "/etc/hosts", None, _MS_BIND)


def _show(source: Path, target: Path) -> None:
    """Make a file, directory or link of the real /opt visible in the new one: Python itself may live there."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    _mount(str(source), str(target), None, _MS_BIND | _MS_REC)


def _keep_environment(directory: Path) -> None:
    """Let what the job installs with pip be the job's only: the virtual environment that is first on PATH is covered
    by a layer of the job's own. Where the file system cannot do that, pip changes the environment of all jobs."""
    environment = Path(os.environ.get("PATH", "").partition(":")[0]).parent
    upper, work = directory / "packages", directory / "packages-work"
    options = f"lowerdir={environment},upperdir={upper},workdir={work}" + ("" if os.geteuid() == 0 else ",userxattr")
    with contextlib.suppress(OSError):
        if (environment / "pyvenv.cfg").is_file():
            _mount("overlay", str(environment), "overlay", 0, options)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [value.encode() if value is not None else None for value in (source, target, kind, options)]
    _check(_libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3]), f"mount {target}")


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere jobs are ended through the control pipe and their process group alone."""
    if sys.platform == "linux":
        _check(_libc.prctl(option, value, 0, 0, 0), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _report(message: str, status: int) -> int:
    os.write(2, f"{message}\n".encode())
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
