"""CloudWatch Logs on disk: a row for each group and each stream, and each batch of events appended.

Events are read from their rows when a stream is first looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from include.sagemaker_local.aws.persistence.database import Database

GROUP, STREAM, EVENTS = "log group", "log stream", "log events"


class LogsState:
    """Writes the groups, streams and events of all Logs backends of this process; the rest of a backend is a row
    of `services.py`."""

    def __init__(self, database: Database) -> None:
        from moto.logs.models import LogStream

        self._database = database
        self._groups: set[tuple[str, str]] = set()
        self._streams: set[tuple[str, str]] = set()
        self._written: set[Any] = set()
        """Streams that got events in the current request."""
        put = getattr(LogStream.put_log_events, "__wrapped__", LogStream.put_log_events)
        for name, value in (
            ("persisted", 0),
            ("put_log_events", _tracked(put, self._written)),
            ("__getattr__", _reading(database)),
        ):
            setattr(LogStream, name, value)

    def load(self) -> None:
        """Put what the rows say into moto; its backends are there already."""
        from moto.logs.models import LogEvent

        groups = {}
        for owner, name, state in self._database.states(GROUP):
            group = groups[f"{owner}:{name}"] = self._database.load(state)
            group.streams = {}
            self._groups.add((owner, name))
        for owner, backend in _backends():
            backend.groups = {name: groups[f"{owner}:{name}"] for of, name in self._groups if of == owner}
        for owner, name, state in self._database.states(STREAM):
            self._streams.add((owner, name))
            if owner in groups:
                stream = self._database.load(state)
                stream.log_group = groups[owner]
                groups[owner].streams[name] = stream
        if last := self._database.last_appended(EVENTS):
            LogEvent._event_id = json.loads(last)[-1][0] + 1

    def write(self, *, structure: bool) -> None:
        """Write new events; with `structure` also look for groups and streams made, removed or set otherwise."""
        if structure:
            self._write_structure()
        for stream in self._written:
            owner, name = _row_key(stream)
            self._database.put(STREAM, owner, name, stream)
            new = stream.events[stream.persisted :]
            rows = [[event.event_id, event.ingestion_time, event.timestamp, event.message] for event in new]
            if rows:
                self._database.append(EVENTS, owner, name, json.dumps(rows).encode())

    def _write_structure(self) -> None:
        groups, streams = _existing()
        for (owner, name), group in groups.items():
            self._database.put_changed(GROUP, owner, name, group)
        for owner, name in self._groups - set(groups):
            self._database.delete(GROUP, owner, name)
        for owner, name in self._streams - set(streams):
            self._database.delete(STREAM, owner, name)
            self._database.forget_appended(EVENTS, owner, name)
        for owner, name in set(streams) - self._streams:
            self._database.put(STREAM, owner, name, streams[owner, name])

    def forget(self, *, structure: bool) -> None:
        """Everything that had changed is on disk: begin anew."""
        for stream in self._written:
            stream.persisted = len(stream.events)
        self._written.clear()
        if structure:
            groups, streams = _existing()
            self._groups, self._streams = set(groups), set(streams)


def _tracked(put: Callable[..., str], written: set[Any]) -> Callable[..., str]:
    @wraps(put)
    def run(stream: Any, log_events: list[dict[str, Any]]) -> str:
        written.add(stream)
        return put(stream, log_events)

    return run


def _reading(database: Database) -> Callable[[Any, str], Any]:
    """`__getattr__` of a stream: its events are missing until they are asked for."""

    def events(stream: Any, name: str) -> Any:
        if name != "events":
            raise AttributeError(name)
        from moto.logs.models import LogEvent

        stream.events = []
        for state in database.appended(EVENTS, *_row_key(stream)):
            for row in json.loads(state):
                event = object.__new__(LogEvent)
                event.event_id, event.ingestion_time, event.timestamp, event.message = row
                stream.events.append(event)
        stream.persisted = len(stream.events)
        return stream.events

    return events


def _row_key(stream: Any) -> tuple[str, str]:
    """Owner and name of a stream's rows."""
    return f"{stream.account_id}/{stream.region}:{stream.log_group.name}", stream.log_stream_name


def _backends() -> Iterator[tuple[str, Any]]:
    """`<account>/<region>` and backend, of those in use."""
    from moto.logs.models import logs_backends

    for account, regions in list(dict.items(logs_backends)):
        for region, backend in list(dict.items(regions)):
            yield f"{account}/{region}", backend


def _existing() -> tuple[dict[tuple[str, str], Any], dict[tuple[str, str], Any]]:
    """All groups and all streams, by owner and name."""
    groups = {(owner, name): group for owner, backend in _backends() for name, group in backend.groups.items()}
    streams = {
        (f"{owner}:{group}", name): stream
        for (owner, group), found in groups.items()
        for name, stream in found.streams.items()
    }
    return groups, streams
