"""`iam:SimulatePrincipalPolicy`, which moto does not have and the SageMaker SDK calls first of all.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

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
    try:
        results = [
            _result(policies, boundary, [AccessRequest(action, resource, entries) for resource in resources])
            for action in _members(form, "ActionNames")
        ]
    except ValueError as error:
        raise AwsError("PolicyEvaluation", str(error), status=501) from error
    return _page(results, form)


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


def _result(policies: dict[str, Policy], boundary: Policy | None, requests: list[AccessRequest]) -> str:
    """An `EvaluationResult` as XML: one action on each resource.

    With several resources the answers are in `ResourceSpecificResults`, and the result itself is about no resource: it
    is denied when one of them is. Its name is a pattern such as `arn:aws:s3:::${BucketName}/${KeyName}`; measured on
    AWS by github.com/Caleb-Kelly-25/preflight (2026-09-01). Here the pattern is `*`.
    """
    action, several = requests[0].action, len(requests) > 1
    decisions = [_decision(policies, boundary, request) for request in requests]
    worst = next((one for one in (EXPLICIT_DENY, IMPLICIT_DENY) if one in decisions), ALLOWED)
    content = "".join(
        f"<member><EvalResourceName>{escape(request.resource)}</EvalResourceName>"
        f"<EvalResourceDecision>{decision}</EvalResourceDecision>"
        f"{_details(policies, boundary, request, decision)}</member>"
        for request, decision in zip(requests, decisions, strict=True)
        if several
    )
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>{'*' if several else escape(requests[0].resource)}</EvalResourceName>"
        f"<EvalDecision>{worst}</EvalDecision>"
        + (f"<ResourceSpecificResults>{content}</ResourceSpecificResults>" if several else "")
        + ("" if several else _details(policies, boundary, requests[0], worst))
        + "</member>"
    )


def _decision(policies: dict[str, Policy], boundary: Policy | None, request: AccessRequest) -> str:
    decision = evaluate(policies.values(), request)
    if boundary is not None and decision != EXPLICIT_DENY:
        within = evaluate([boundary], request)
        decision = within if within == EXPLICIT_DENY else decision if within == ALLOWED else IMPLICIT_DENY
    return decision


def _details(policies: dict[str, Policy], boundary: Policy | None, request: AccessRequest, decision: str) -> str:
    """The statements that decided, the context keys that were not given, and the boundary's decision."""
    effect = "Deny" if decision == EXPLICIT_DENY else "Allow"
    matched = [
        name
        for name, policy in policies.items()
        for statement in as_list(policy["Statement"])
        if statement["Effect"] == effect and applies(statement, request)
    ]
    known = {key.lower() for key in request.context}
    missing = {
        key
        for policy in policies.values()
        for statement in as_list(policy["Statement"])
        for key in condition_keys(statement)
        if key.lower() not in known
    }
    statements = "".join(f"<member><SourcePolicyId>{escape(name)}</SourcePolicyId></member>" for name in matched)
    allowed = str(boundary is None or evaluate([boundary], request) == ALLOWED).lower()
    detail = f"<AllowedByPermissionsBoundary>{allowed}</AllowedByPermissionsBoundary>"
    return (
        f"<MatchedStatements>{statements}</MatchedStatements>"
        f"<MissingContextValues>{''.join(f'<member>{escape(key)}</member>' for key in sorted(missing))}"
        "</MissingContextValues>"
        + (f"<PermissionsBoundaryDecisionDetail>{detail}</PermissionsBoundaryDecisionDetail>" if boundary else "")
    )


def _page(results: list[str], form: Form) -> Reply:
    start, size = int(form.get("Marker", ["0"])[0]), int(form.get("MaxItems", [str(_PAGE)])[0])
    more = start + size < len(results)
    content = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>{str(more).lower()}</IsTruncated>"
        + (f"<Marker>{start + size}</Marker>" if more else "")
        + f"<EvaluationResults>{''.join(results[start : start + size])}</EvaluationResults>"
        f"</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    )
    return 200, [("Content-Type", "text/xml")], content.encode()


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
