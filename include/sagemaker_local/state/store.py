"""SageMaker's own state: one SQLite row per resource, so that it survives a restart, and a kill -9."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Body = Mapping[str, object]


class Store:
    """Resources by (kind, name); a body is JSON in the shape of the Describe response, times as epoch seconds.

    What is read is Any: whoever reads a kind names its type (`job: TrainingJob | None = store.get(…)`).
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS resources ("
            "seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,"
            "UNIQUE (kind, name))"
        )

    def insert(self, kind: str, name: str, body: Body) -> bool:
        """Add a resource; False (and no change) when the name is taken. Atomic: of two at once one wins."""
        with self._lock:
            cursor = self._db.execute(
                "INSERT OR IGNORE INTO resources (kind, name, body) VALUES (?, ?, ?)", (kind, name, json.dumps(body))
            )
            return cursor.rowcount == 1

    def get(self, kind: str, name: str) -> Any:
        """The resource's body, or None."""
        with self._lock:
            row = self._db.execute("SELECT body FROM resources WHERE kind=? AND name=?", (kind, name)).fetchone()
        return json.loads(row[0]) if row else None

    def update(self, kind: str, name: str, change: Callable[[Any], None]) -> Any:
        """Read, let `change` mutate the body in place, write back, as one step. Raises KeyError when there is none."""
        with self._lock:
            body = self.get(kind, name)
            if body is None:
                raise KeyError(f"{kind} {name}")
            change(body)
            self._db.execute("UPDATE resources SET body=? WHERE kind=? AND name=?", (json.dumps(body), kind, name))
            return body

    def put(self, kind: str, name: str, body: Body) -> None:
        """Add or replace."""
        with self._lock:
            if not self.insert(kind, name, body):
                self._db.execute("UPDATE resources SET body=? WHERE kind=? AND name=?", (json.dumps(body), kind, name))

    def delete(self, kind: str, name: str) -> bool:
        """Remove; False when there was none."""
        with self._lock:
            return self._db.execute("DELETE FROM resources WHERE kind=? AND name=?", (kind, name)).rowcount == 1

    def list(self, kind: str) -> list[Any]:
        """All bodies of a kind, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM resources WHERE kind=? ORDER BY seq", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def items(self, kind: str) -> Sequence[tuple[str, Any]]:
        """Names and bodies of a kind, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT name, body FROM resources WHERE kind=? ORDER BY seq", (kind,)).fetchall()
        return [(name, json.loads(body)) for name, body in rows]

    def close(self) -> None:
        """Close the database; the file holds everything."""
        with self._lock:
            self._db.close()
