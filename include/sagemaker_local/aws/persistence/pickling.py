"""Pickles moto's objects one by one, where plain pickling would lose or copy too much.

Touches these inner parts of moto (the version is pinned for it): the attributes of `FakeKey`, `FakeBucket`, `LogGroup`,
`LogStream` and `CloudWatchBackend` that grow and therefore have rows of their own; `BaseModel.__new__`.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections import defaultdict
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import IO, Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from include.sagemaker_local.state.content import ObjectBody

_SSM_TAGS = "SimpleSystemManagerBackend.__init__.<locals>.<lambda>"
_FORMER_NAMES = frozenset({"include.sagemaker_local.kept.pickling", "include.sagemaker_local.aws.kept.pickling"})
"""Names that this module had; files on disk still say where to find its functions by them."""
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_LEFT_OUT = {
    ("moto.s3.models", "FakeKey"): ("lock",),
    ("moto.s3.models", "FakeBucket"): ("keys", "multiparts"),
    ("moto.logs.models", "LogsBackend"): ("groups",),
    ("moto.logs.models", "LogGroup"): ("streams",),
    ("moto.logs.models", "LogStream"): ("log_group", "events", "persisted"),
    ("moto.cloudwatch.models", "CloudWatchBackend"): ("metric_data", "paged_metric_data"),
    ("moto.sns.models", "Topic"): ("sent_notifications",),
}
"""By class: attributes that have rows of their own, or are not needed."""


def dumps(thing: Any) -> tuple[bytes, set[str]]:
    """The thing as bytes, and the digests of the contents it refers to."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.dump(thing)
    return buffer.getvalue(), pickler.used


def loads(data: bytes, bodies: Path) -> Any:
    """The thing again; its contents are in the directory `bodies`."""
    return _Unpickler(io.BytesIO(data), bodies).load()


class _Pickler(pickle.Pickler):
    """Contents become references, locks new locks; `_LEFT_OUT` stays out."""

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        super().__init__(file, protocol)
        self.used: set[str] = set()

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, ObjectBody):
            return None
        self.used.update(obj.digests)
        return "+".join(obj.digests)

    def reducer_override(self, obj: Any) -> Any:
        left_out = _LEFT_OUT.get((type(obj).__module__, type(obj).__qualname__))
        if left_out is not None:
            state = {name: value for name, value in vars(obj).items() if name not in left_out}
            return object.__new__, (type(obj),), state, None, None, _fill
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
    def __init__(self, file: IO[bytes], bodies: Path) -> None:
        super().__init__(file)
        self._bodies = bodies

    def persistent_load(self, pid: Any) -> ObjectBody:
        return ObjectBody(self._bodies, tuple(pid.split("+")) if pid else ())

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(__name__ if module in _FORMER_NAMES else module, name)


def _load_key(der: bytes) -> Any:
    return load_der_private_key(der, None)


def _fill_defaultdict(filled: defaultdict[Any, Any], state: tuple[Any, dict[str, Any]]) -> None:
    filled.default_factory, attributes = state
    vars(filled).update(attributes)


def _fill(thing: Any, state: dict[str, Any]) -> None:
    vars(thing).update(state)
    if type(thing).__name__ == "FakeKey":
        thing.lock = threading.Lock()
    elif type(thing).__name__ == "Topic":
        thing.sent_notifications = []
