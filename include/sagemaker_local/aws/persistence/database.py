"""The file with the state of moto: SQLite in WAL mode, which survives a kill -9 without waiting for the disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import moto

from include.sagemaker_local.aws.persistence.pickling import dumps, loads

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS things (
  kind TEXT, owner TEXT, name TEXT, state BLOB, bodies TEXT, PRIMARY KEY (kind, owner, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS appended (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, owner TEXT, name TEXT, state BLOB);
CREATE INDEX IF NOT EXISTS appended_of ON appended (kind, owner, name);
"""


class Database:
    """Things by (kind, owner, name), and things that only grow, appended. Not thread-safe: moto's turn protects it.

    Raises ValueError, with a sentence that says what to do, for a file that cannot be read.
    """

    def __init__(self, path: Path, bodies: Path) -> None:
        self.path = path
        self.bodies = bodies
        self._written: dict[tuple[str, str, str], bytes] = {}
        try:
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
            self._db.commit()
            version = self._meta("moto")
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error
        if version not in (None, moto.__version__):
            raise self._unreadable(f"moto {version} wrote it, this is moto {moto.__version__}")
        self.is_new = version is None

    def _unreadable(self, why: object) -> ValueError:
        return ValueError(
            f"the saved state {self.path} cannot be read ({why}): move it away or name another directory with --state"
        )

    def _meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def commit(self) -> None:
        """Make everything written since the last time durable. Raises sqlite3.Error, for example on a full disk."""
        if self.is_new:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('moto', ?)", (moto.__version__,))
        self._db.commit()
        self.is_new = False

    def rollback(self) -> None:
        """Forget everything written since the last commit."""
        self._written.clear()
        self._db.rollback()

    def put(self, kind: str, owner: str, name: str, thing: Any) -> None:
        """Add or replace a thing."""
        self._write(kind, owner, name, *dumps(thing))

    def put_changed(self, kind: str, owner: str, name: str, thing: Any) -> None:
        """The same, but write only what differs from the last time; for few and small things."""
        state, bodies = dumps(thing)
        if self._written.get((kind, owner, name)) != state:
            self._write(kind, owner, name, state, bodies)
            self._written[kind, owner, name] = state

    def _write(self, kind: str, owner: str, name: str, state: bytes, bodies: set[str]) -> None:
        row = (kind, owner, name, state, json.dumps(sorted(bodies)) if bodies else None)
        self._db.execute("INSERT OR REPLACE INTO things VALUES (?, ?, ?, ?, ?)", row)

    def delete(self, kind: str, owner: str, name: str) -> None:
        """Remove a thing, if it is there."""
        self._db.execute("DELETE FROM things WHERE kind=? AND owner=? AND name=?", (kind, owner, name))
        self._written.pop((kind, owner, name), None)

    def delete_all(self, kind: str, owner: str) -> None:
        """Remove all things of an owner."""
        self._db.execute("DELETE FROM things WHERE kind=? AND owner=?", (kind, owner))

    def append(self, kind: str, owner: str, name: str, state: bytes) -> None:
        """Add to a thing that grows."""
        self._db.execute(
            "INSERT INTO appended (kind, owner, name, state) VALUES (?, ?, ?, ?)", (kind, owner, name, state)
        )

    def forget_appended(self, kind: str, owner: str, name: str) -> None:
        """Remove all that was appended."""
        self._db.execute("DELETE FROM appended WHERE kind=? AND owner=? AND name=?", (kind, owner, name))

    def appended(self, kind: str, owner: str, name: str) -> list[bytes]:
        """What was appended, in order."""
        query = "SELECT state FROM appended WHERE kind=? AND owner=? AND name=? ORDER BY seq"
        return [row[0] for row in self._db.execute(query, (kind, owner, name))]

    def last_appended(self, kind: str) -> bytes | None:
        """The newest of a kind."""
        row = self._db.execute("SELECT state FROM appended WHERE kind=? ORDER BY seq DESC LIMIT 1", (kind,)).fetchone()
        return row[0] if row else None

    def states(self, kind: str) -> list[tuple[str, str, bytes]]:
        """Owner, name and bytes of all things of a kind."""
        return self._db.execute("SELECT owner, name, state FROM things WHERE kind=?", (kind,)).fetchall()

    def loading(self, load: Callable[[], None]) -> None:
        """Run what loads at the start; ValueError when it fails on what is in the file."""
        try:
            load()
        except Exception as error:
            raise self._unreadable(f"{type(error).__name__}: {error}") from error

    def load(self, state: bytes) -> Any:
        """The thing of these bytes."""
        return loads(state, self.bodies)

    def used_bodies(self) -> set[str]:
        """The digests of all contents that are referred to."""
        rows = self._db.execute("SELECT bodies FROM things WHERE bodies IS NOT NULL")
        return {digest for (digests,) in rows for digest in json.loads(digests)}

    def close(self) -> None:
        """Close the file; it holds everything."""
        self._db.close()
