"""Contents of S3 objects: files named by their SHA-256, and references to them that need no memory."""

from __future__ import annotations

import hashlib
import threading
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

BLOCK_BYTES = 1 << 20
IN_MEMORY_BYTES = 1 << 20
"""Contents up to this size are answered from memory, larger ones block by block from their files."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a file."""

    path: Path
    start: int
    size: int

    def blocks(self) -> Iterator[bytes]:
        """Its bytes. Raises OSError when the file is gone or too short."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.size
            while left:
                block = file.read(min(left, BLOCK_BYTES))
                if not block:
                    raise OSError(f"{self.path} ends {left} bytes too early")
                left -= len(block)
                yield block


class Content(bytes):
    """Bytes that moto may count, cut and pass on, but that are on disk: `blocks` reads them.

    `md5` is the ETag (32 hexadecimal digits) when it is known already. Code that treats it as plain bytes finds it
    empty, so it is passed only where it is expected: into a FakeKey, and through `GetObject` and its ranges.
    """

    pieces: tuple[Piece, ...]
    md5: str | None

    def __new__(cls, pieces: Iterable[Piece], md5: str | None = None) -> Content:
        content = super().__new__(cls)
        content.pieces = tuple(pieces)
        content.md5 = md5
        return content

    def __len__(self) -> int:
        return sum(piece.size for piece in self.pieces)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __getitem__(self, stretch: Any) -> Any:
        """A stretch of it, without reading anything. Only slices with the step 1."""
        start, stop, _ = stretch.indices(len(self))
        found: list[Piece] = []
        at = 0
        for piece in self.pieces:
            first, last = max(start, at), min(stop, at + piece.size)
            if first < last:
                found.append(Piece(piece.path, piece.start + first - at, last - first))
            at += piece.size
        return Content(found)

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, a block at a time."""
        for piece in self.pieces:
            yield from piece.blocks()

    def read(self) -> bytes:
        """All of it, in memory."""
        return b"".join(self.blocks())


class ObjectBody:
    """The content of one S3 object; the part of a temporary file's interface that moto uses.

    No file stays open and nothing stays in memory, however many objects there are. Equal contents are stored once; an
    object of several parts refers to the files of its parts.
    """

    def __init__(self, directory: Path, digests: tuple[str, ...] = ()) -> None:
        self._directory = directory
        self.digests = digests
        self._position = 0

    def write(self, content: bytes) -> int:
        """Become `content`: moto always writes an object as a whole."""
        if isinstance(content, Content):
            self.digests = tuple(self._digest(piece) for piece in content.pieces)
        elif content:
            with Incoming(self._directory) as incoming:
                incoming.write(content)
                self.digests = tuple(piece.path.name for piece in incoming.keep().pieces)
        self._position = len(content)
        return len(content)

    def _digest(self, piece: Piece) -> str:
        """The name of a file with just these bytes; a part of a file becomes a file of its own."""
        if piece.path.parent == self._directory and (piece.start, piece.size) == (0, piece.path.stat().st_size):
            return piece.path.name
        with Incoming(self._directory) as incoming:
            for block in piece.blocks():
                incoming.write(block)
            return incoming.keep().pieces[0].path.name

    def content(self) -> Content:
        """A reference to all of it."""
        paths = [self._directory / digest for digest in self.digests]
        return Content(Piece(path, 0, path.stat().st_size) for path in paths)

    def read(self, size: int = -1) -> bytes:
        """From the current position."""
        stop = self._position + size if size >= 0 else None
        found: bytes = self.content()[self._position : stop].read()
        self._position += len(found)
        return found

    def seek(self, position: int) -> None:
        """To an absolute position."""
        self._position = position

    def truncate(self) -> None:
        """Become empty."""
        self.digests = ()

    def close(self) -> None:
        """Do nothing: no file is open. Files that nothing refers to are deleted at the next start."""


class Hash(Protocol):
    """What hashlib's objects do."""

    def update(self, block: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Crc32:
    """zlib's CRC-32 as a Hash."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, block: bytes, /) -> None:
        self._value = zlib.crc32(block, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


md5 = partial(hashlib.md5, usedforsecurity=False)
CHECKSUMS: dict[str, Callable[[], Hash]] = {
    "CRC32": Crc32,
    "SHA1": partial(hashlib.sha1, usedforsecurity=False),
    "SHA256": hashlib.sha256,
}
"""The checksums of S3 that can be computed here, by the name in `x-amz-checksum-algorithm`."""


class Incoming:
    """A content on its way to disk. As a context it leaves nothing behind unless `keep` was called.

    A file gets its name when it is complete, so a row of the database never refers to half a content.
    """

    def __init__(self, directory: Path, checksum: Hash | None = None) -> None:
        self._directory = directory
        self._path = directory / f"{uuid.uuid4().hex}.{threading.get_ident()}.partial"
        self._file = self._path.open("xb")
        self.sha256, self.md5, self.size = hashlib.sha256(), md5(), 0
        self._hashes: list[Hash] = [self.sha256, self.md5, *([checksum] if checksum else [])]

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, block: bytes) -> None:
        """Add a block. Raises OSError when the disk is full."""
        self._file.write(block)
        self.size += len(block)
        for found in self._hashes:
            found.update(block)

    def keep(self) -> Content:
        """Make it a content of the directory."""
        self._file.close()
        if not self.size:
            return Content((), self.md5.hexdigest())
        path = self._directory / self.sha256.hexdigest()
        if not path.exists():
            self._path.replace(path)
        return Content([Piece(path, 0, self.size)], self.md5.hexdigest())


def remove_unused(directory: Path, used: set[str]) -> None:
    """Delete the contents that nothing refers to, and halves that a kill left."""
    for file in directory.iterdir():
        if file.name not in used:
            file.unlink()
