"""Reads `snapshot.pickle`, in which this program wrote everything before it had a database."""

from __future__ import annotations

import pickle
import threading
from collections import defaultdict
from pathlib import Path
from typing import IO, Any

from moto.s3.models import s3_backends

from include.sagemaker_local.aws.persistence.buckets import Keys, Tags, Uploads
from include.sagemaker_local.aws.persistence.pickling import _fill_defaultdict, _load_key
from include.sagemaker_local.aws.persistence.services import SERVICES, ServicesState
from include.sagemaker_local.state.content import ObjectBody


def read_snapshot(path: Path, bodies: Path, services: ServicesState) -> None:
    """Put a snapshot into moto, as changed things that are to be written. Raises ValueError when it is broken."""
    try:
        with path.open("rb") as file:
            backends = _Unpickler(file, bodies).load()
    except Exception as error:
        raise ValueError(
            f"the saved state {path} cannot be read ({error}): move it away or name another directory with --state"
        ) from error
    for service, accounts in backends.items():
        for account, regions in accounts.items():
            for region, backend in regions.items():
                if service == "s3":
                    _put_s3(account, region, backend)
                else:
                    _put(services, service, f"{account}/{region}", backend)
    services.use(*SERVICES)


def _put(services: ServicesState, service: str, location: str, backend: Any) -> None:
    left_out = ("groups", "metric_data")
    grown = {name: vars(backend)[name] for name in left_out if name in vars(backend)}
    services.put(service, location, backend)
    vars(backend).update(grown)
    if service == "logs":
        from moto.logs.models import LogEvent

        streams = [stream for group in backend.groups.values() for stream in group.streams.values()]
        for stream in streams:
            stream.put_log_events([])
            stream.upload_sequence_token -= 1
        ids = [event.event_id for stream in streams for event in stream.events]
        LogEvent._event_id = max(ids, default=-1) + 1


def _put_s3(account: str, partition: str, backend: Any) -> None:
    tags = backend.tagger.tags
    backend.tagger = Tags()
    backend.tagger.tags = tags
    backend.tagger.changed.update(tags)
    for name, bucket in backend.buckets.items():
        keys, uploads = Keys(), Uploads()
        for key, versions in dict.items(bucket.keys):
            dict.__setitem__(keys, key, versions)
            keys.changed.add(key)
        for upload_id, upload in dict.items(bucket.multiparts):
            uploads[upload_id] = upload
        bucket.keys, bucket.multiparts = keys, uploads
        s3_backends.bucket_accounts[name] = (bucket.partition, bucket.account_id)
    dict.__setitem__(s3_backends[account], partition, backend)


class _Unpickler(pickle.Unpickler):
    """Knows the functions that the snapshot's pickler named, by the names they had."""

    def __init__(self, file: IO[bytes], bodies: Path) -> None:
        super().__init__(file)
        self._bodies = bodies

    def persistent_load(self, pid: Any) -> ObjectBody:
        return ObjectBody(self._bodies, (pid,) if pid else ())

    def find_class(self, module: str, name: str) -> Any:
        if module == "include.sagemaker_local.moto_state":
            return _OLD_NAMES[name]
        return super().find_class(module, name)


def _fill_versions(store: Any, items: list[tuple[str, list[Any]]]) -> None:
    for key, versions in items:
        dict.__setitem__(store, key, versions)


def _fill_key(key: Any, state: dict[str, Any]) -> None:
    vars(key).update(state, lock=threading.Lock())


_OLD_NAMES = {
    "_fill_versions": _fill_versions,
    "_fill_key": _fill_key,
    "_fill_defaultdict": _fill_defaultdict,
    "_load_key": _load_key,
    "defaultdict": defaultdict,
}
