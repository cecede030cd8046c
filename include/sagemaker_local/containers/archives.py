"""tar.gz archives, packed and unpacked by a process of their own; run as a script, that process.

`python archives.py pack|unpack <archive> <folder>`. In the server's own process a large archive would hold up every
request meanwhile. Only the standard library, because it starts with every job and must start quickly.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class ArchiveError(Exception):
    """The archive cannot be made or read; the text says why."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar.gz into the folder. Raises ArchiveError when it is none, or leads out of the folder."""
    _run("unpack", archive, folder)


def pack(folder: Path, archive: Path) -> None:
    """Make a tar.gz of the folder's content. Raises ArchiveError."""
    _run("pack", archive, folder)


def _run(order: str, archive: Path, folder: Path) -> None:
    command = [sys.executable, "-I", "-S", __file__, order, str(archive), str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        text = done.stderr.decode("utf-8", "replace").strip()
        raise ArchiveError(text or f"the process that was to {order} it ended with {done.returncode}")


def main(order: str, archive: Path, folder: Path) -> int:
    """Do it; 1, and what is wrong on standard error, when it cannot be done."""
    if sys.platform == "linux":  # the server's end is ours: the next one removes what was half done
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        if order == "pack":
            _pack(folder, archive)
        else:
            _unpack(archive, folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _unpack(archive: Path, folder: Path) -> None:
    """From a file, not a stream: tarfile's stream mode (`r|gz`) copies all that is left of a block for every read."""
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(folder, filter="data")


def _pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
