"""`iam:SimulatePrincipalPolicy`, which moto does not have and the SageMaker SDK calls first of all.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Template

from include.sagemaker_local.aws.overrides.policies import (
    ALLOWED,
    EXPLICIT_DENY,
    IMPLICIT_DENY,
    AccessRequest,
    Policy,
    applies,
    as_list,
    condition_keys,
    evaluate,
)
from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError, unsupported_operation
from include.sagemaker_local.http.types import Environ, Reply

Form = dict[str, list[str]]
_KNOWN = (
    "Action", "Version", "PolicySourceArn", "ActionNames", "ResourceArns", "ContextEntries", "PolicyInputList",
    "MaxItems", "Marker", "CallerArn", "ResourceOwner",
)  # fmt: skip
_PAGE = 100
_RESPONSE = Template(Path(__file__).with_name("simulate.xml").read_text(encoding="utf-8"), autoescape=True)


def simulate_principal_policy(context: Context, environ: Environ, _: Callable[[Environ], Reply]) -> Reply:
    """What the policies of a role, user or group evaluate about each action on each resource."""
    form = parse_qs(environ["wsgi.input"].read().decode(), keep_blank_values=True)
    for name in form:
        if name.split(".")[0] not in _KNOWN:
            raise unsupported_operation(f"SimulatePrincipalPolicy with {name.split('.')[0]}")
    policies, boundary = _policies(context, _one(form, "PolicySourceArn"))
    given = _members(form, "PolicyInputList")
    policies |= {f"PolicyInputList.{number}": json.loads(text) for number, text in enumerate(given, 1)}
    resources, entries = _members(form, "ResourceArns") or ["*"], _context_entries(form)
    requests = [[AccessRequest(action, one, entries) for one in resources] for action in _members(form, "ActionNames")]
    try:
        results = [[_evaluation(policies, boundary, request) for request in of_action] for of_action in requests]
    except ValueError as error:
        raise AwsError("PolicyEvaluation", str(error), status=501) from error
    start, size = int(form.get("Marker", ["0"])[0]), int(form.get("MaxItems", [str(_PAGE)])[0])
    content = _RESPONSE.render(
        results=results[start : start + size],
        marker=start + size if start + size < len(results) else None,
        worst=_worst,
        has_boundary=boundary is not None,
        request_id=uuid.uuid4(),
    )
    return 200, [("Content-Type", "text/xml")], content.encode()


def _policies(context: Context, arn: str) -> tuple[dict[str, Policy], Policy | None]:
    """The policies of a principal, and its permissions boundary. Raises AwsError when there is no such principal."""
    found = re.fullmatch(r"arn:aws:iam::\d+:(role|user|group)/(?:.*/)?([^/]+)", arn)
    if found is None:
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    kind, name = found.groups()
    iam = context.client("iam")
    try:
        principal = getattr(iam, f"get_{kind}")(**{f"{kind.title()}Name": name})[kind.title()]
    except iam.exceptions.NoSuchEntityException as error:
        raise AwsError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", status=404) from error
    policies = _attached(iam, kind, name)
    if kind == "user":
        for group in iam.list_groups_for_user(UserName=name)["Groups"]:
            policies |= _attached(iam, "group", group["GroupName"])
    boundary = principal.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return policies, _managed(iam, boundary) if boundary else None


def _attached(iam: Any, kind: str, name: str) -> dict[str, Policy]:
    """The inline and managed policies of one identity, by their ids as the simulator names them."""
    whose = {f"{kind.title()}Name": name}
    inline = getattr(iam, f"list_{kind}_policies")(**whose)["PolicyNames"]
    policies = {
        f"{kind}_{name}_{policy}": getattr(iam, f"get_{kind}_policy")(**whose, PolicyName=policy)["PolicyDocument"]
        for policy in inline
    }
    for policy in getattr(iam, f"list_attached_{kind}_policies")(**whose)["AttachedPolicies"]:
        policies[policy["PolicyName"]] = _managed(iam, policy["PolicyArn"])
    return policies


def _managed(iam: Any, arn: str) -> Policy:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document: Policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return document


@dataclass(frozen=True)
class Evaluation:
    """The decision on one request, and why."""

    request: AccessRequest
    decision: str
    matched: list[str]
    """The policies with the statements that decided."""
    missing: list[str]
    """The condition keys that the policies look at and the caller did not give."""
    boundary_allows: bool


def _evaluation(policies: dict[str, Policy], boundary: Policy | None, request: AccessRequest) -> Evaluation:
    decision, within = evaluate(policies.values(), request), ALLOWED
    if boundary is not None:
        within = evaluate([boundary], request)
        if decision != EXPLICIT_DENY:
            decision = within if within == EXPLICIT_DENY else decision if within == ALLOWED else IMPLICIT_DENY
    effect = "Deny" if decision == EXPLICIT_DENY else "Allow"
    statements = [(name, statement) for name in policies for statement in as_list(policies[name]["Statement"])]
    known = {key.lower() for key in request.context}
    return Evaluation(
        request,
        decision,
        [name for name, statement in statements if statement["Effect"] == effect and applies(statement, request)],
        sorted({key for _, found in statements for key in condition_keys(found) if key.lower() not in known}),
        within == ALLOWED,
    )


def _worst(evaluations: list[Evaluation]) -> str:
    """The decision on an action that is about several resources: it is denied when it is on one of them."""
    decisions = {evaluation.decision for evaluation in evaluations}
    return next((one for one in (EXPLICIT_DENY, IMPLICIT_DENY) if one in decisions), ALLOWED)


def _one(form: Form, name: str) -> str:
    if name not in form:
        raise AwsError("ValidationError", f"1 validation error detected: '{name}' must not be null")
    return form[name][0]


def _members(form: Form, name: str) -> list[str]:
    """The values of a list: `<name>.member.1`, `.2`, …"""
    numbered = {
        int(found[1]): values[0]
        for key, values in form.items()
        if (found := re.fullmatch(rf"{re.escape(name)}\.member\.(\d+)", key))
    }
    return [value for _, value in sorted(numbered.items())]


def _context_entries(form: Form) -> dict[str, list[str]]:
    entries = {}
    for key, values in form.items():
        if found := re.fullmatch(r"(ContextEntries\.member\.\d+)\.ContextKeyName", key):
            entries[values[0]] = _members(form, f"{found[1]}.ContextKeyValues")
    return entries
