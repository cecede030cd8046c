"""YAML files with the line of every key, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]
MOST_KEYS = 20_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` are its messages, one a line in `str()`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class SourceLocation:
    """A line of a file, as messages name it; `text` is the value as it is written there, None when it is no scalar."""

    file: str
    line: int
    text: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Source:
    """A parsed file: `data` as plain Python, and the location of every key path (`("train", "spot")`)."""

    file: str
    data: dict[str, Any]  # of any shape: pydantic checks it
    locations: Mapping[Key, SourceLocation]

    @property
    def folder(self) -> str:
        """The folder of the file, as messages name it."""
        return self.file.rpartition("/")[0]

    def location(self, key: Key) -> SourceLocation:
        """Where `key` stands; for one that is not there, where its parent stands."""
        while key and key not in self.locations:
            key = key[:-1]
        return self.locations.get(key, SourceLocation(self.file, 1))

    def problem(self, key: Key, text: str) -> str:
        """A message about `key`: where it is, what it is called, and the text."""
        return f"{self.location(key)}: {dotted(key)}: {text}"

    def below(self, key: Key) -> Source:
        """The mapping at `key` as a source of its own."""
        data: Any = self.data
        for part in key:
            data = data.get(part) if isinstance(data, dict) else None
        locations = {path[len(key) :]: location for path, location in self.locations.items() if path[: len(key)] == key}
        return Source(self.file, data if isinstance(data, dict) else {}, locations)

    def overlay(self, other: Source) -> Source:
        """This source with `other` laid over it: mappings are merged, anything else is replaced."""
        return Source(self.file, _merge(self.data, other.data), {**self.locations, **other.locations})


def read_yaml(path: Path, file: str) -> Source:
    """Parse `path`, called `file` in messages.

    Raises ConfigError for a file that is missing, not text, empty, not YAML, not a mapping, or has a key twice.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError([f"{file}: there is no such file"]) from error
    except (UnicodeDecodeError, OSError, yaml.YAMLError) as error:
        raise ConfigError([f"{file}: cannot be read: {error}"]) from error
    try:
        return _source(loader, file)
    except RecursionError as error:
        raise ConfigError([f"{file}: is nested too deeply to be a configuration"]) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_message(file, error)]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{file}: is not YAML: {' '.join(str(error).split())}"]) from error
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError([f"{file}: a value cannot be read: {error}"]) from error
    finally:
        loader.dispose()


def _source(loader: Any, file: str) -> Source:
    root = loader.get_single_node()
    if root is None:
        raise ConfigError([f"{file}: is empty; see docs/configuration.md for what it needs"])
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([f"{file}:{root.start_mark.line + 1}: expected `key: value` lines at the top level"])
    locations: dict[Key, SourceLocation] = {}
    if problems := _collect(root, (), file, locations):
        raise ConfigError(problems)
    return Source(file, loader.construct_document(root), locations)


def _collect(
    node: yaml.Node, key: Key, file: str, locations: dict[Key, SourceLocation], above: tuple[yaml.Node, ...] = ()
) -> list[str]:
    """Note the location of every key below `node`; return messages about keys given twice, and aliases that never end.

    `above` are the nodes that `node` stands in. Raises ConfigError for aliases that multiply into too many keys.
    """
    if any(node is other for other in above):
        return [f"{locations[key]}: {dotted(key)}: is an alias of what it stands in itself; write out what is meant"]
    if len(locations) > MOST_KEYS:
        raise ConfigError([f"{file}: has more than {MOST_KEYS} keys, aliases counted each time; write fewer"])
    problems: list[str] = []
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            path = (*key, str(name.value))
            location = SourceLocation(file, name.start_mark.line + 1, _text(value))
            if first := locations.get(path):
                problems.append(f"{location}: {dotted(path)}: is given twice, first in line {first.line}; keep one")
            locations[path] = location
            problems += _collect(value, path, file, locations, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            locations[(*key, index)] = SourceLocation(file, value.start_mark.line + 1, _text(value))
            problems += _collect(value, (*key, index), file, locations, above)
    return problems


def _text(node: yaml.Node) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def dotted(key: Key) -> str:
    """`("train", "metrics", 0, "regex")` → `train.metrics[0].regex`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).lstrip(".")


def _syntax_message(file: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = f":{mark.line + 1}" if mark else ""
    return f"{file}{line}: is not YAML: {error.problem or error.context}; check indentation, quotes and colons here"


def _merge(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:  # YAML as it was read
    merged = dict(base)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged
