"""moto's S3 with contents on disk: objects are put, copied, joined and sent without being in memory as a whole.

Touches these inner parts of moto: the `tempfile` of its S3 models; `FakeKey.value` and how a key is copied and ends;
`FakeMultipart.complete`; the methods that pass a value on; `S3Response.setup_class`, where a request's body comes from.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import moto.s3.models
from moto.core.common_models import BaseModel
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import FakeKey, FakeMultipart, S3Backend
from moto.s3.responses import S3Response
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from include.sagemaker_local.state.content import CHECKSUMS, IN_MEMORY_BYTES, Content, ObjectBody, md5

CONTENT = "sagemaker_local.content"
"""Where in a request's environ its content is, when it has been stored already."""
_passing_on = threading.local()


def store_contents_in(bodies: Path) -> None:
    """From now on moto's S3 stores the contents of objects in this directory."""
    spool = SimpleNamespace(SpooledTemporaryFile=lambda *_, **__: ObjectBody(bodies))
    _replace(moto.s3.models, "tempfile", spool)
    _replace(BaseModel, "__new__", _untracked)
    _replace(FakeKey, "value", property(_value, _set_value))
    _replace(FakeKey, "__deepcopy__", _same_content)
    _replace(FakeKey, "__del__", lambda _: None)
    _replace(FakeMultipart, "complete", _complete)
    for owner, name in ((S3Backend, "copy_object"), (S3Backend, "upload_part_copy"), (S3Response, "get_object")):
        _replace(owner, name, _by_reference(getattr(owner, name)))
    _replace(S3Response, "setup_class", _with_content(S3Response.setup_class))


def _replace(owner: Any, name: str, new: Any) -> None:
    """Replace an attribute once: a process that opens a second state must not wrap it twice."""
    if not getattr(getattr(owner, name, None), "__wrapped__", None):
        setattr(owner, name, new)


def _untracked(cls: Any, *_: Any, **__: Any) -> Any:
    """moto lists every object it ever made, for a reset that does not happen here; nothing would ever be freed."""
    return object.__new__(cls)


def _value(key: Any) -> bytes:
    """The content; a reference to it while it is only passed on and is large."""
    content: Content = key._value_buffer.content()
    if getattr(_passing_on, "now", False) and len(content) > IN_MEMORY_BYTES:
        return content
    return content.read()


def _set_value(key: Any, value: bytes | str) -> None:
    content = value.encode() if isinstance(value, str) else value
    key._value_buffer.seek(0)
    key._value_buffer.truncate()
    key._value_buffer.write(content)
    key.contentsize = len(content)
    if isinstance(content, Content):
        key._etag = key._etag or content.md5


def _same_content(key: Any, _: Any) -> Any:
    """`ListObjectVersions` copies all keys to mark the latest; their contents need no copy."""
    twin = object.__new__(type(key))
    vars(twin).update(vars(key))
    return twin


def _by_reference(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        _passing_on.now = True
        try:
            return method(*args, **kwargs)
        finally:
            _passing_on.now = False

    return run


def _with_content(method: Callable[..., Any]) -> Callable[..., Any]:
    """Give moto the body that was stored before it got the request."""

    @wraps(method)
    def setup_class(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        method(self, request, *args, **kwargs)
        content = request.environ.get(CONTENT)
        if content is not None:
            self.body = self.raw_body = content

    return setup_class


def _complete(upload: Any, parts: Iterator[tuple[int, str]]) -> tuple[bytes, str, tuple[str, str, int] | None]:
    """The joined content, its ETag and its checksum (type, value, number of parts), as S3 makes them of the parts.

    Parts are not copied: the object refers to their files.
    """
    found: list[Any] = []
    for number, etag in parts:
        part = upload.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        if found and found[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
            raise EntityTooSmall
        found.append(part)
    if not found:
        raise MalformedXML
    contents = [part._value_buffer.content() for part in found]
    md5s = b"".join(bytes.fromhex(part.etag.strip('"')) for part in found)
    etag = f"{md5(md5s).hexdigest()}-{len(found)}"
    checksum = _checksum_of_parts(upload.metadata, contents)
    for part in upload.parts.values():
        part._value_buffer.truncate()
    return Content(piece for content in contents for piece in content.pieces), etag, checksum


def _checksum_of_parts(metadata: Any, contents: list[Content]) -> tuple[str, str, int] | None:
    """None when none was asked for, or when it cannot be computed here (CRC32C, CRC64NVME)."""
    algorithm = metadata.get("x-amz-checksum-algorithm")
    if algorithm not in CHECKSUMS:
        return None
    if metadata.get("x-amz-checksum-type") == "FULL_OBJECT":
        whole = _digest(algorithm, (block for content in contents for block in content.blocks()))
        return "FULL_OBJECT", base64.b64encode(whole).decode(), 1
    parts = b"".join(_digest(algorithm, content.blocks()) for content in contents)
    return "COMPOSITE", base64.b64encode(_digest(algorithm, [parts])).decode(), len(contents)


def _digest(algorithm: str, blocks: Iterable[bytes]) -> bytes:
    checksum = CHECKSUMS[algorithm]()
    for block in blocks:
        checksum.update(block)
    return checksum.digest()
