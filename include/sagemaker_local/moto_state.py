"""What moto holds in memory, kept on disk: one snapshot of its backends, and the bodies of S3 objects as files.

Touches these inner parts of moto (the version is pinned for it): `moto.backends.get_backend`; the two levels of
dictionaries above a backend, read and written as plain dictionaries so that nothing is created on the way;
`s3_backends.bucket_accounts`, the index of all buckets; `_VersionedKeyStore`, of which plain pickling keeps only the
newest version of each key; `FakeKey` and the `tempfile` its module uses, so that bodies go to files of ours.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import sys
import threading
import time
from collections import defaultdict
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import IO, Any, cast

import moto.s3.models
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from moto import backends as moto_backends
from moto.s3.models import FakeKey, s3_backends
from moto.s3.utils import _VersionedKeyStore

log = logging.getLogger(__name__)
SERVICES = (
    "s3", "logs", "events", "iam", "sts", "ecr", "cloudwatch", "sns", "sqs", "kms", "ssm", "secretsmanager",
    "applicationautoscaling",
)  # fmt: skip
_SSM_TAGS = "SimpleSystemManagerBackend.__init__.<locals>.<lambda>"
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())


class MotoState:
    """The durable state of moto in `directory`: `snapshot.pickle` and `bodies/`. One per process, as moto itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._snapshot = directory / "snapshot.pickle"
        self._bodies = directory / "bodies"
        self._bodies.mkdir(parents=True, exist_ok=True)
        spool = SimpleNamespace(SpooledTemporaryFile=lambda *_, **__: Body(self._bodies))
        setattr(moto.s3.models, "tempfile", spool)  # noqa: B010  (mypy does not let a module be replaced)

    def load(self) -> None:
        """Put the saved state into moto, remove unused bodies. Raises ValueError for a snapshot that is broken."""
        used: set[str] = set()
        if self._snapshot.exists():
            try:
                with self._snapshot.open("rb") as file:
                    backends = _Unpickler(file, self._bodies, used).load()
            except Exception as error:
                raise ValueError(
                    f"the saved state {self._snapshot} cannot be read ({error}): move it away or name another "
                    f"directory with --state"
                ) from error
            _put(backends)
        for file_ in self._bodies.iterdir():
            if file_.name not in used:
                file_.unlink()

    def save(self, turn: AbstractContextManager[Any]) -> float:
        """Write the snapshot, whole or not at all; moto must stand still during `turn`. Returns the seconds that took.

        The snapshot is flushed to the disk itself; bodies are left to the operating system, which survives a kill -9.
        """
        buffer = io.BytesIO()
        with turn:
            started = time.monotonic()
            _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(_backends())
            seconds = time.monotonic() - started
        partial = self._snapshot.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._snapshot)
        return seconds


def _backends() -> dict[str, dict[str, dict[str, Any]]]:
    """service → account → region → backend, of those in use: asking for the others would load them (ssm: 90 MB)."""
    return {
        service: {account: dict(dict.items(regions)) for account, regions in dict.items(_backend(service))}
        for service in SERVICES
        if f"moto.{service}.models" in sys.modules
    }


def _backend(service: str) -> Any:
    return cast("Any", moto_backends.get_backend)(service)


def _put(backends: dict[str, dict[str, dict[str, Any]]]) -> None:
    for service, accounts in backends.items():
        for account, regions in accounts.items():
            for region, backend in regions.items():
                dict.__setitem__(_backend(service)[account], region, backend)
                if service == "s3":
                    for name, bucket in backend.buckets.items():
                        s3_backends.bucket_accounts[name] = (bucket.partition, bucket.account_id)


class Body:
    """The content of one S3 object, in a file named by its SHA-256; the part of a file's interface that moto uses.

    No file stays open and nothing stays in memory, however many objects there are. Equal contents are stored once.
    """

    def __init__(self, directory: Path, digest: str = "") -> None:
        self._directory = directory
        self.digest = digest
        self._position = 0

    def write(self, content: bytes) -> int:
        """Become `content`: moto always writes an object as a whole."""
        self.digest = hashlib.sha256(content).hexdigest()
        path = self._directory / self.digest
        if not path.exists():
            partial = path.with_name(f"{self.digest}.{threading.get_ident()}.partial")
            partial.write_bytes(content)
            partial.replace(path)
        self._position = len(content)
        return len(content)

    def read(self, size: int = -1) -> bytes:
        """From the current position."""
        if not self.digest:
            return b""
        with (self._directory / self.digest).open("rb") as file:
            file.seek(self._position)
            content = file.read(size)
        self._position += len(content)
        return content

    def seek(self, position: int) -> None:
        """To an absolute position."""
        self._position = position

    def truncate(self) -> None:
        """Become empty."""
        self.digest = ""

    def close(self) -> None:
        """Nothing is open; the file goes when nothing refers to it at the next start."""


class _Pickler(pickle.Pickler):
    """Pickles moto's backends: bodies as references, locks as new locks, S3 keys with all their versions."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.digest if isinstance(obj, Body) else None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _VersionedKeyStore):
            return _VersionedKeyStore, (), list(dict.items(obj)), None, None, _fill_versions
        if isinstance(obj, FakeKey):
            state = {name: value for name, value in vars(obj).items() if name != "lock"}
            return FakeKey.__new__, (FakeKey,), state, None, None, _fill_key
        if isinstance(obj, _LOCK):
            return threading.Lock, ()
        if isinstance(obj, _RLOCK):
            return threading.RLock, ()
        return self._of_other_services(obj)

    @staticmethod
    def _of_other_services(obj: Any) -> Any:
        if isinstance(obj, RSAPrivateKey | EllipticCurvePrivateKey):  # KMS
            return _load_key, (obj.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)
        if isinstance(obj, defaultdict) and type(obj) is not defaultdict:  # SSM, whose __init__ takes other arguments
            state = (obj.default_factory, vars(obj))
            return type(obj).__new__, (type(obj),), state, None, iter(dict.items(obj)), _fill_defaultdict
        if isinstance(obj, FunctionType) and obj.__qualname__ == _SSM_TAGS:
            return partial, (defaultdict, dict)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    """The counterpart; notes in `used` which bodies are referred to."""

    def __init__(self, file: IO[bytes], bodies: Path, used: set[str]) -> None:
        super().__init__(file)
        self._bodies = bodies
        self._used = used

    def persistent_load(self, pid: Any) -> Body:
        self._used.add(pid)
        return Body(self._bodies, pid)


def _load_key(der: bytes) -> Any:
    return load_der_private_key(der, None)


def _fill_versions(store: _VersionedKeyStore, items: list[tuple[str, list[Any]]]) -> None:
    for key, versions in items:
        dict.__setitem__(store, key, versions)


def _fill_defaultdict(filled: defaultdict[Any, Any], state: tuple[Any, dict[str, Any]]) -> None:
    filled.default_factory, attributes = state
    vars(filled).update(attributes)


def _fill_key(key: FakeKey, state: dict[str, Any]) -> None:
    vars(key).update(state, lock=threading.Lock())
