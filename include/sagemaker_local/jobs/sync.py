"""Keeping an S3 prefix like a folder of a running job: checkpoints, and outputs uploaded continuously."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from include.sagemaker_local.containers.transfers import files_in, join, upload
from include.sagemaker_local.s3_uri import split_s3

log = logging.getLogger(__name__)

SCAN_SECONDS = 0.2
"""A file is uploaded when two scans found it the same, so within 0.5 s after it was written."""
IGNORED_SUFFIX = ".sagemaker-ignore"
"""What AWS's XGBoost container calls a checkpoint that it still writes."""


class Version(NamedTuple):
    """What tells one content of a file from the next without reading it."""

    device: int
    inode: int
    size: int
    modified_ns: int


class FolderSync:
    """Uploads new and changed files of `folder` to `url` while a job writes to it.

    Only complete files go up: unchanged between two scans, open for writing in no process of the job, and not changed
    while they were copied to `scratch`. With `deletions`, what disappears from the folder disappears from S3.
    `uploaded` counts uploads; `on_upload` is called after each. What the folder holds now counts as uploaded
    when `restored`. `options` are those of PutObject.
    """

    def __init__(
        self,
        s3: Any,
        folder: Path,
        url: str,
        scratch: Path,
        *,
        options: Mapping[str, str] = MappingProxyType({}),
        deletions: bool = False,
        restored: bool = False,
        on_upload: Callable[[], None] = lambda: None,
    ) -> None:
        self.uploaded = 0
        self._s3, self._folder, self._url, self._scratch = s3, folder, url, scratch
        self._options, self._deletions, self._on_upload = options, deletions, on_upload
        self._synced: dict[Path, Version] = self._versions() if restored else {}
        self._seen: dict[Path, Version] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, pid: int) -> None:
        """Scan in a thread of its own until stopped; `pid` is the process above all of the job's."""
        self._thread = threading.Thread(target=self._run, args=(pid,), name=f"sync-{self._url}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop scanning at once, as when the machine is taken away: what was not uploaded yet is lost."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Stop scanning and upload the rest; the job's processes must have ended."""
        self.stop()
        found = self._versions()
        for path in [path for path in found if self._synced.get(path) != found[path]]:
            self._put(path, found[path])
        self._delete_missing(found)

    def _run(self, pid: int) -> None:
        while not self._stopped.wait(SCAN_SECONDS):
            try:
                self._scan(pid)
            except Exception:
                log.exception("syncing %s to %s failed; trying again", self._folder, self._url)

    def _scan(self, pid: int) -> None:
        found = self._versions()
        changed = [path for path, version in found.items() if self._synced.get(path) != version]
        steady = [path for path in changed if self._seen.get(path) == found[path]]
        self._seen = found
        written = set(open_for_writing(pid)) if steady else set()
        for path in steady:
            if self._stopped.is_set():
                return
            if (found[path].device, found[path].inode) not in written:
                self._put(path, found[path])
        self._delete_missing(found)

    def _versions(self) -> dict[Path, Version]:
        versions = {}
        for path in files_in(self._folder):
            with contextlib.suppress(FileNotFoundError):
                if not path.name.endswith(IGNORED_SUFFIX):
                    versions[path] = version_of(path)
        return versions

    def _put(self, path: Path, version: Version) -> None:
        """Upload a copy, and only when the file did not change while it was copied."""
        try:
            shutil.copyfile(path, self._scratch)
            if version_of(path) != version:
                return
        except FileNotFoundError:
            return
        upload(self._s3, self._scratch, self._s3_url(path), **self._options)
        self._synced[path] = version
        self.uploaded += 1
        self._on_upload()

    def _delete_missing(self, found: dict[Path, Version]) -> None:
        for path in [path for path in self._synced if path not in found]:
            if self._deletions:
                bucket, key = split_s3(self._s3_url(path))
                self._s3.delete_object(Bucket=bucket, Key=key)
            del self._synced[path]

    def _s3_url(self, path: Path) -> str:
        return join(self._url, path.relative_to(self._folder).as_posix())


def version_of(path: Path) -> Version:
    """The file's present version. Raises FileNotFoundError."""
    status = path.stat()
    return Version(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def open_for_writing(pid: int) -> Iterator[tuple[int, int]]:
    """(device, inode) of the files that a process or its descendants hold open for writing; none without /proc."""
    for process in _with_descendants(pid):
        for info in process.glob("fdinfo/*"):
            with contextlib.suppress(OSError, ValueError):
                flags = int(info.read_text().split("flags:", 1)[1].split()[0], 8)
                if flags & os.O_ACCMODE != os.O_RDONLY:
                    status = (process / "fd" / info.name).stat()
                    yield status.st_dev, status.st_ino


def _with_descendants(pid: int) -> Iterator[Path]:
    process = Path(f"/proc/{pid}")
    yield process
    for children in process.glob("task/*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield from _with_descendants(int(child))
