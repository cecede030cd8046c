"""Faults on demand: throttling, server errors, lost connections and lost answers of SageMaker's operations."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Literal, NotRequired, TypedDict, cast

from include.sagemaker_local.errors import AwsError, NoAnswerError
from include.sagemaker_local.http.types import Reply
from include.sagemaker_local.operations.table import OPERATIONS
from include.sagemaker_local.state.spot import check_number


class OperationRule(TypedDict):
    """A fault of the next calls of an operation."""

    operation: str
    times: NotRequired[int]


class EndpointRule(TypedDict):
    """A fault of the next rollbacks of an endpoint."""

    endpoint: str
    times: NotRequired[int]


class FaultSettings(TypedDict):
    """What PUT `/_local/faults` takes; settings that are left out get their defaults.

    The percentages are shares of all calls of SageMaker operations. The n-th call of an operation has the same fate for
    the same seed, whatever else is called in between.
    """

    seed: int
    throttle_percent: float
    error_percent: float
    drop_percent: float
    lose_answer: list[OperationRule]
    """The answers of the next `times` calls that succeed are lost."""
    conflict: list[OperationRule]
    """The next `times` calls meet another's change of the same resource."""
    fail_rollback: list[EndpointRule]
    """The next `times` rollbacks of updates of an endpoint fail."""


class FaultCounts(TypedDict):
    """What the settings have done since they were set."""

    calls: int
    throttled: int
    errors: int
    dropped: int
    lost: int
    conflicts: int
    by_operation: dict[str, int]


class FaultReport(FaultSettings):
    """What `/_local/faults` answers."""

    counts: FaultCounts


DEFAULT: FaultSettings = {
    "seed": 1,
    "throttle_percent": 0,
    "error_percent": 0,
    "drop_percent": 0,
    "lose_answer": [],
    "conflict": [],
    "fail_rollback": [],
}


class Fate(Enum):
    """A fault that a call meets; the values are the names in FaultCounts."""

    THROTTLED = "throttled"
    ERROR = "errors"
    DROPPED = "dropped"
    LOST = "lost"
    CONFLICT = "conflicts"


_Share = Literal["throttle_percent", "error_percent", "drop_percent"]
_SHARES: dict[Fate, _Share] = {
    Fate.THROTTLED: "throttle_percent",
    Fate.ERROR: "error_percent",
    Fate.DROPPED: "drop_percent",
}


class Faults:
    """The switches behind `/_local/faults`; all are off when the server starts."""

    def __init__(self) -> None:
        self._plan = _Plan(DEFAULT)

    @property
    def settings(self) -> FaultReport:
        """The switches in force, and what they have done since they were set."""
        plan = self._plan
        return {**plan.settings, "counts": plan.counts()}

    def change(self, settings: Mapping[str, object]) -> FaultReport:
        """Replace the switches and begin again with seed and counts. Raises ValueError that says what is wrong."""
        complete = {**DEFAULT, **settings}
        check(complete)
        self._plan = _Plan(cast("FaultSettings", complete))
        return self.settings

    def around(self, operation: str, perform: Callable[[], Reply]) -> Reply:
        """The reply of one call; `perform` carries it out, and is not called for one that fails before it begins.

        Raises AwsError for throttling, server errors and conflicts, NoAnswerError when there is to be no answer.
        """
        plan = self._plan
        match plan.draw(operation):
            case Fate.THROTTLED:
                raise AwsError("ThrottlingException", "Rate exceeded")
            case Fate.ERROR:
                raise AwsError("InternalFailure", "A server error, on purpose: see /_local/faults", status=500)
            case Fate.DROPPED:
                raise NoAnswerError
        if plan.has(Fate.CONFLICT, operation):
            message = f"{operation} conflicts with another change, on purpose: see /_local/faults"
            raise AwsError("ConflictException", message)
        reply = perform()
        if reply[0] < 400 and plan.has(Fate.LOST, operation):
            raise NoAnswerError
        return reply

    def rollback_fails(self, endpoint: str) -> bool:
        """True when the rollback of this endpoint's update is to fail."""
        return self._plan.fails_rollback(endpoint)


class _Plan:
    """One setting of the switches and its counts."""

    def __init__(self, settings: FaultSettings) -> None:
        self.settings = settings
        self._shares = {fate: settings[member] for fate, member in _SHARES.items()}
        self._lock = threading.Lock()
        self._by_operation: Counter[str] = Counter()
        self._fates: Counter[Fate] = Counter()
        self._calls_left = {
            fate: {rule["operation"]: rule.get("times", 1) for rule in rules}
            for fate, rules in ((Fate.LOST, settings["lose_answer"]), (Fate.CONFLICT, settings["conflict"]))
        }
        self._rollbacks_left = {rule["endpoint"]: rule.get("times", 1) for rule in settings["fail_rollback"]}

    def draw(self, operation: str) -> Fate | None:
        """Count a call; the fault that prevents it, if there is one."""
        with self._lock:
            self._by_operation[operation] += 1
            if not any(self._shares.values()):
                return None
            fate = self._fate(operation, self._by_operation[operation])
            if fate is not None:
                self._fates[fate] += 1
            return fate

    def _fate(self, operation: str, number: int) -> Fate | None:
        draw = random.Random(f"{self.settings['seed']}/{operation}/{number}").uniform(0, 100)  # noqa: S311
        for fate, percent in self._shares.items():
            if draw < percent:
                return fate
            draw -= percent
        return None

    def has(self, fate: Fate, operation: str) -> bool:
        """True when a rule gives a call this fate; counts it."""
        with self._lock:
            found = _use_up(self._calls_left[fate], operation)
            self._fates[fate] += found
            return found

    def fails_rollback(self, endpoint: str) -> bool:
        """True when the rollback of an endpoint is to fail."""
        with self._lock:
            return _use_up(self._rollbacks_left, endpoint)

    def counts(self) -> FaultCounts:
        """Calls, what became of them, and calls by operation."""
        with self._lock:
            by_operation = dict(sorted(self._by_operation.items()))
            counts = {fate.value: self._fates[fate] for fate in Fate}
        return cast("FaultCounts", {"calls": sum(by_operation.values()), **counts, "by_operation": by_operation})


def _use_up(times: dict[str, int], name: str) -> bool:
    if not times.get(name):
        return False
    times[name] -= 1
    return True


def check(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for settings, which may be any JSON, that are not FaultSettings."""
    unknown = sorted(set(settings) - set(DEFAULT))
    if unknown:
        raise ValueError(f"unknown switch {unknown[0]}; known are {', '.join(DEFAULT)}")
    if not _is_whole(settings["seed"]):
        raise ValueError(f"seed is {settings['seed']!r}; it must be a whole number")
    members = _SHARES.values()
    for member in members:
        check_number(member, settings[member], most=100)
    if sum(settings[member] for member in members) > 100:
        raise ValueError(f"{', '.join(members)} add up to more than 100")
    _check_rules("fail_rollback", settings["fail_rollback"], "endpoint", "flight-delay")
    for switch in ("lose_answer", "conflict"):
        _check_rules(switch, settings[switch], "operation", "CreateTrainingJob")
        for number, rule in enumerate(settings[switch]):
            if rule["operation"] not in OPERATIONS:
                raise ValueError(
                    f"{switch}[{number}].operation is {rule['operation']!r}; it must be an operation that the local "
                    "SageMaker implements, such as CreateTrainingJob"
                )


def _check_rules(switch: str, rules: Any, member: str, example: str) -> None:
    """Raise ValueError unless `rules` is a list of `{member: name, "times": n}`, each name once."""
    if not isinstance(rules, list):
        raise ValueError(f"{switch} is {rules!r}; it must be a list")
    for number, rule in enumerate(rules):
        where = f"{switch}[{number}]"
        if not isinstance(rule, dict) or member not in rule or set(rule) - {member, "times"}:
            raise ValueError(f'{where} is {rule!r}; it must be like {{"{member}": "{example}", "times": 1}}')
        if not isinstance(rule[member], str):
            raise ValueError(f"{where}.{member} is {rule[member]!r}; it must be a name, such as {example}")
        times = rule.get("times", 1)
        if not _is_whole(times) or times < 1:
            raise ValueError(f"{where}.times is {times!r}; it must be a whole number from 1")
    names = Counter(rule[member] for rule in rules)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ValueError(f"{switch} names {twice[0]} more than once; give it one rule with all the times")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
