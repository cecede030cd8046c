"""S3 on disk: a row for each key with its versions, for each upload, for each bucket's settings, for each tagged thing.

The dictionaries that hold keys, uploads and tags record what a request changes. What a request looks at to change it
inside (an ACL, a legal hold, a part) counts as changed too. Keys are read from their rows when they are first asked
for, so that a start does not wait for thousands of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import moto.s3.models
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import MultipartDict, S3Backend, s3_backends
from moto.s3.utils import _VersionedKeyStore
from moto.utilities.tagging_service import TaggingService

from include.sagemaker_local.aws.persistence.current_request import CurrentRequest
from include.sagemaker_local.aws.persistence.database import Database

KEY, UPLOAD, BUCKET, TAGS = "s3 key", "s3 upload", "s3 bucket", "s3 tags"


class Keys(_VersionedKeyStore):
    """The keys of a bucket: a key's versions, or the bytes of its row until they are needed."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[str] = set()
        self.load: Callable[[bytes], Any] = bytes

    def __sgetitem__(self, key: str) -> list[Any]:
        versions: Any = dict.__getitem__(self, key)
        if isinstance(versions, bytes):
            versions = self.load(versions)
            dict.__setitem__(self, key, versions)
        return versions  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: Any) -> None:
        self.changed.add(key)
        super().__setitem__(key, value)

    def setlist(self, key: Any, list_: Any) -> None:
        """Replace all versions."""
        self.changed.add(key)
        super().setlist(key, list_)

    def pop(self, key: str) -> None:  # type: ignore[override]
        """Remove all versions."""
        self.changed.add(key)
        super().pop(key)


class Uploads(MultipartDict):
    """The multipart uploads of a bucket that are neither completed nor aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise NoSuchUpload(upload_id=key)
        if CurrentRequest.changing:
            self.changed.add(key)
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.changed.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.changed.add(key)
        super().__delitem__(key)


class Tags(TaggingService):
    """The tags of buckets and objects, by ARN."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[str] = set()

    def tag_resource(self, arn: str, tags: Any) -> None:
        """Add tags."""
        self.changed.add(arn)
        super().tag_resource(arn, tags)

    def delete_all_tags_for_resource(self, arn: str) -> None:
        """Remove all tags."""
        if self.has_tags(arn):
            self.changed.add(arn)
        super().delete_all_tags_for_resource(arn)

    def untag_resource_using_names(self, arn: str, tag_names: list[str]) -> None:
        """Remove tags."""
        self.changed.add(arn)
        super().untag_resource_using_names(arn, tag_names)


class S3State:
    """Writes all S3 backends of this process to a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._buckets: set[tuple[str, str]] = set()
        for name, tracked in (("_VersionedKeyStore", Keys), ("MultipartDict", Uploads), ("TaggingService", Tags)):
            setattr(moto.s3.models, name, tracked)
        if not hasattr(S3Backend.get_object, "__wrapped__"):
            setattr(S3Backend, "get_object", _tracked(S3Backend.get_object))  # noqa: B010  (a method for mypy)

    def load(self) -> None:
        """Put what the rows say into moto."""
        for owner, name, state in self._database.states(BUCKET):
            bucket = self._database.load(state)
            bucket.keys, bucket.multiparts = Keys(), Uploads()
            bucket.keys.load = self._database.load
            _backend(owner).buckets[name] = bucket
            s3_backends.bucket_accounts[name] = (bucket.partition, bucket.account_id)
            self._buckets.add((owner, name))
        keys = {bucket.name: bucket.keys for _, backend in _backends() for bucket in backend.buckets.values()}
        uploads = {bucket.name: bucket.multiparts for _, backend in _backends() for bucket in backend.buckets.values()}
        for owner, name, state in self._database.states(KEY):
            dict.__setitem__(keys[owner], name, state)
        for owner, name, state in self._database.states(UPLOAD):
            dict.__setitem__(uploads[owner], name, self._database.load(state))
        for owner, name, state in self._database.states(TAGS):
            _backend(owner).tagger.tags[name] = self._database.load(state)

    def write(self, *, buckets: bool) -> None:
        """Write what has changed; with `buckets` also look for buckets made, removed or set otherwise."""
        for owner, backend in _backends():
            for bucket in backend.buckets.values():
                self._write_all(KEY, bucket.name, bucket.keys, dict.__contains__, _VersionedKeyStore.getlist)
                self._write_all(UPLOAD, bucket.name, bucket.multiparts, dict.__contains__, dict.__getitem__)
            self._write_all(TAGS, owner, backend.tagger, TaggingService.has_tags, lambda tags, arn: tags.tags[arn])
        if buckets:
            self._write_buckets()

    def _write_all(self, kind: str, owner: str, things: Any, has: Callable[..., Any], get: Callable[..., Any]) -> None:
        for name in things.changed:
            if has(things, name):
                self._database.put(kind, owner, name, get(things, name))
            else:
                self._database.delete(kind, owner, name)

    def _write_buckets(self) -> None:
        present = {(owner, name): bucket for owner, backend in _backends() for name, bucket in backend.buckets.items()}
        for (owner, name), bucket in present.items():
            self._database.put_changed(BUCKET, owner, name, bucket)
        for owner, name in self._buckets - set(present):
            self._database.delete(BUCKET, owner, name)
            self._database.delete_all(KEY, name)
            self._database.delete_all(UPLOAD, name)

    def has_changed(self) -> bool:
        """Whether there is something to write, settings of buckets aside."""
        return any(
            backend.tagger.changed or any(b.keys.changed or b.multiparts.changed for b in backend.buckets.values())
            for _, backend in _backends()
        )

    def forget(self, *, buckets: bool) -> None:
        """Everything that had changed is on disk: begin anew."""
        for _, backend in _backends():
            backend.tagger.changed.clear()
            for bucket in backend.buckets.values():
                bucket.keys.changed.clear()
                bucket.multiparts.changed.clear()
        if buckets:
            self._buckets = {(owner, name) for owner, backend in _backends() for name in backend.buckets}


def _tracked(get_object: Callable[..., Any]) -> Callable[..., Any]:
    """A key that a changing request gets is written again: tags, ACLs, holds and restores change it inside."""

    @wraps(get_object)
    def run(self: Any, bucket_name: str, key_name: str, *args: Any, **kwargs: Any) -> Any:
        found = get_object(self, bucket_name, key_name, *args, **kwargs)
        if CurrentRequest.changing and found is not None:
            self.get_bucket(bucket_name).keys.changed.add(key_name)
        return found

    return run


def _backends() -> Iterator[tuple[str, Any]]:
    """`<account>/<partition>` and backend, of those in use."""
    for account, partitions in list(dict.items(s3_backends)):
        for partition, backend in list(dict.items(partitions)):
            yield f"{account}/{partition}", backend


def _backend(owner: str) -> Any:
    account, partition = owner.split("/")
    return s3_backends[account][partition]
