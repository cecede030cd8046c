"""Whether IAM policies allow something, by the rules for identity policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. moto has an evaluator, but it
takes an unmet condition of an Allow for a Deny.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

ALLOWED, EXPLICIT_DENY, IMPLICIT_DENY = "allowed", "explicitDeny", "implicitDeny"
Policy = Mapping[str, Any]
"""A policy document, or a statement of one, as its author wrote it."""


@dataclass(frozen=True)
class AccessRequest:
    """What somebody wants to do with a resource; `context` has the request's condition keys."""

    action: str
    resource: str
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


def evaluate(policies: Iterable[Policy], request: AccessRequest) -> str:
    """`allowed`, `explicitDeny` or `implicitDeny`. Raises ValueError for a condition operator that is not known."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in as_list(policy.get("Statement", []))
        if applies(statement, request)
    }
    if "Deny" in effects:
        return EXPLICIT_DENY
    return ALLOWED if "Allow" in effects else IMPLICIT_DENY


def applies(statement: Policy, request: AccessRequest) -> bool:
    """Whether a statement is about this action and resource, and its conditions hold."""
    if not (_names(statement, "Action", request.action.lower()) and _names(statement, "Resource", request.resource)):
        return False
    return all(
        _holds(operator, [str(value) for value in as_list(wanted)], _found(request.context, key))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _names(statement: Policy, element: str, value: str) -> bool:
    """Whether `Action` or `Resource` names the value, or its opposite (`NotAction`) does not. Actions have no case."""
    patterns = as_list(statement[element if element in statement else f"Not{element}"])
    named = any(_like(pattern.lower() if element == "Action" else pattern, value) for pattern in patterns)
    return named == (element in statement)


def condition_keys(statement: Policy) -> set[str]:
    """The keys that its conditions look at."""
    return {key for keys in statement.get("Condition", {}).values() for key in keys}


def as_list(value: Any) -> list[Any]:
    """Policies may have one thing in place of a list."""
    return value if isinstance(value, list) else [value]


def _found(context: Mapping[str, str | Sequence[str]], key: str) -> list[str] | None:
    """A key's values; keys are the same in upper and lower case."""
    for name, value in context.items():
        if name.lower() == key.lower():
            return [value] if isinstance(value, str) else list(value)
    return None


def _holds(operator: str, wanted: list[str], found: list[str] | None) -> bool:
    """A key the request does not have fails, but for negated operators and those that end in IfExists."""
    base = operator.removesuffix("IfExists")
    if base == "Null":
        return any((found is None) == (value.lower() == "true") for value in wanted)
    negated = "Not" in base
    compare = _COMPARE.get(base.replace("Not", ""))
    if compare is None:
        raise ValueError(
            f"the condition operator {operator} is not known here; known are {', '.join(sorted(_COMPARE))}"
        )
    if found is None:
        return negated or base != operator
    return any(compare(pattern, value) for pattern in wanted for value in found) != negated


def _like(pattern: str, value: str) -> bool:
    """IAM knows `*` and `?`, and no sets in brackets."""
    return fnmatchcase(value, pattern.replace("[", "[[]"))


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda pattern, value: pattern.lower() == value.lower(),
}
