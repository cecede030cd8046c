"""Managed Spot training: which jobs are interrupted, when, and what they are billed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NotRequired, TypedDict

from include.sagemaker_local.state.store import Store


class SpotRule(TypedDict):
    """Which jobs are interrupted, and when: one of `after_checkpoints`, `after_seconds` and `no_capacity`."""

    job: str
    """A pattern of job names, such as `flight-delay-*`."""
    after_checkpoints: NotRequired[int | None]
    after_seconds: NotRequired[float | None]
    gap_seconds: NotRequired[float]
    """How long no capacity is to be had after an interruption."""
    times: NotRequired[int]
    """How many interruptions of one job, 1 unless said otherwise."""
    no_capacity: NotRequired[bool]


class SpotSettings(TypedDict):
    """What `/_local/spot` answers and takes; settings that are left out get their defaults."""

    rules: list[SpotRule]
    seed: int | None
    interruptions_per_hour: float
    discount: float
    """The share of the on-demand price that Spot saves."""


DEFAULT: SpotSettings = {"rules": [], "seed": None, "interruptions_per_hour": 0, "discount": 0.7}
_KIND, _NAME = "spot", "settings"
_GAP_SECONDS = 1.0


@dataclass(frozen=True)
class Interruption:
    """The end of one attempt: after so many synced checkpoint files, or so many seconds of the container's run."""

    after_checkpoints: int | None
    after_seconds: float | None
    gap_seconds: float
    """How long no capacity is to be had afterwards."""


class SpotMarket:
    """The settings behind `/_local/spot`, in the store so that they outlive a restart.

    The first rule whose pattern matches applies, for its first `times` interruptions of a job. Where no rule matches
    and there is a rate, interruptions are drawn at random, the same ones for the same seed, job name and attempt.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def settings(self) -> SpotSettings:
        """The settings in force."""
        settings: SpotSettings | None = self._store.get(_KIND, _NAME)
        return settings or DEFAULT

    def change(self, settings: Mapping[str, object]) -> SpotSettings:
        """Replace the settings and return the new ones. Raises ValueError that names what is wrong."""
        complete = {**DEFAULT, **settings}
        check(complete)
        self._store.put(_KIND, _NAME, complete)
        return self.settings

    def has_capacity(self, job: str) -> bool:
        """False when a rule says that this job never gets an instance."""
        rule = self._rule(job)
        return not (rule and rule.get("no_capacity"))

    def next_interruption(self, job: str, interruptions: int) -> Interruption | None:
        """What ends the attempt of a job that was interrupted so many times, or None when it runs to its end."""
        settings, rule = self.settings, self._rule(job)
        if rule is not None:
            if interruptions >= rule.get("times", 1):
                return None
            gap = rule.get("gap_seconds", _GAP_SECONDS)
            return Interruption(rule.get("after_checkpoints"), rule.get("after_seconds"), gap)
        rate = settings["interruptions_per_hour"]
        if not rate:
            return None
        draw = random.Random(f"{settings['seed']}/{job}/{interruptions}")  # noqa: S311  (a simulation)
        return Interruption(None, draw.expovariate(rate / 3600), _GAP_SECONDS)

    def billable_seconds(self, running_seconds: float) -> int:
        """What AWS bills for a Spot job that held instances for so long; at least one second."""
        return max(1, round(running_seconds * (1 - self.settings["discount"])))

    def _rule(self, job: str) -> SpotRule | None:
        return next((rule for rule in self.settings["rules"] if fnmatchcase(job, rule["job"])), None)


def check(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for settings, which may be any JSON, that are not SpotSettings."""
    unknown = sorted(set(settings) - set(DEFAULT))
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]}; known are {', '.join(DEFAULT)}")
    check_number("interruptions_per_hour", settings["interruptions_per_hour"])
    check_number("discount", settings["discount"], most=1.0)
    if not isinstance(settings["rules"], list):
        raise ValueError("rules must be a list")
    for number, rule in enumerate(settings["rules"]):
        _check_rule(f"rules[{number}]", rule)


def _check_rule(where: str, rule: Any) -> None:
    if not isinstance(rule, dict) or not isinstance(rule.get("job"), str):
        raise ValueError(f'{where} must be an object with "job", a pattern of job names such as "flight-delay-*"')
    unknown = sorted(set(rule) - set(SpotRule.__annotations__))
    if unknown:
        raise ValueError(
            f"{where} has an unknown member {unknown[0]}; known are {', '.join(sorted(SpotRule.__annotations__))}"
        )
    triggers = [name for name in ("after_checkpoints", "after_seconds", "no_capacity") if rule.get(name)]
    if len(triggers) != 1:
        raise ValueError(f"{where} must have exactly one of after_checkpoints, after_seconds and no_capacity")
    for name in ("after_checkpoints", "after_seconds", "gap_seconds", "times"):
        if rule.get(name) is not None:
            check_number(f"{where}.{name}", rule[name])


def check_number(where: str, value: Any, most: float = float("inf")) -> None:
    """Raise ValueError, which names the setting, for what is no number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{where} is {value!r}; it must be a number from 0 to {most:g}")
