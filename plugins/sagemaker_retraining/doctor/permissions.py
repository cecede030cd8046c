"""What roles may do, by IAM's own simulator, and that the DAG may not approve.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html: it knows identity policies,
permissions boundaries and service control policies, not policies of buckets and keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.answers import IamPrincipal, SimulationResult
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import is_denied
from sagemaker_retraining.doctor.findings import Check, Finding, ok, unknown, wrong
from sagemaker_retraining.doctor.questions import Context, Question, batches, denied_questions, questions_about
from sagemaker_retraining.doctor.roles import describe_role
from sagemaker_retraining.doctor.scope import Scope

ACTIONS_A_CALL, CALLS_AT_ONCE = 50, 4
SHOWN = 6
NOT_HELD, BOUNDARY, ORGANIZATION = "no policy allows", "its permissions boundary forbids", "the organization forbids"


def permission_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """The permissions of the DAG's role and of the execution roles."""
    dag = scope.dag_role or scope.caller.principal
    subject = "permissions of the DAG's role" if scope.dag_role else "permissions of these credentials"
    yield Check(subject, partial(_dag, aws, scope, dag, subject))
    yield Check("who may approve", partial(_approval, aws, scope, dag))
    if scope.approver_role:
        subject = "permissions of the approver"
        yield Check(subject, partial(_look, aws, scope, scope.approver_role, "approver", subject))
    for arn, used_for in scope.role_users.items():
        name = "hosting-role" if arn != scope.environment.role_arn and "hosting-role" in scope.policies else "job-role"
        subject = f"permissions of the role of {used_for}"
        yield Check(subject, partial(_execution_role, aws, scope, arn, name, subject))


def _execution_role(aws: Aws, scope: Scope, arn: str, name: str, subject: str) -> Iterator[Finding]:
    if _principal(aws, arn):  # the check of the role itself reports one that does not exist
        yield from _look(aws, scope, arn, name, subject)


def _dag(aws: Aws, scope: Scope, principal: str | None, subject: str) -> Iterator[Finding]:
    if principal is None:
        yield unknown(subject, f"{scope.caller.arn} is no IAM user or role; say --dag-role <ARN of the DAG's role>")
    else:
        yield from _look(aws, scope, principal, "dag-role", subject)


def _look(aws: Aws, scope: Scope, arn: str, name: str, subject: str) -> Iterator[Finding]:
    if (role := _principal(aws, arn)) is None:
        yield wrong(subject, f"{arn} does not exist")
        return
    questions = questions_about(scope.policies[name], scope)
    answers = simulate(aws, role["Arn"], questions)
    boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    command = f"iam {name} --env {scope.environment.environment}"
    yield from judge_permissions(subject, role["Arn"], command, answers, boundary)


def _approval(aws: Aws, scope: Scope, principal: str | None) -> Iterator[Finding]:
    """Whether the DAG's role may approve, which it must not where decisions have a connection of their own."""
    subject, separate = "who may approve", scope.environment.approver_conn_id
    if principal is None or (role := _principal(aws, principal)) is None:
        yield unknown(subject, "the DAG's role is not known; say --dag-role <its ARN>")
        return
    answers = simulate(aws, role["Arn"], denied_questions(scope.policies["dag-role"], scope))
    may = sorted({question.action for question, reason in answers.items() if reason is None})
    if may and separate:
        hint = "" if scope.dag_role else ", if that is the DAG's role (else say --dag-role <its ARN>)"
        yield wrong(
            subject,
            f"{role['Arn']} may approve versions ({', '.join(may)}), and approver_conn_id is {separate}: attach the "
            f"statement NeverApprove of `iam dag-role` to it{hint}",
        )
    else:
        yield ok(subject, f"{role['Arn']} {'may' if may else 'may not'}; approver_conn_id is {separate or 'not set'}")


def _principal(aws: Aws, arn: str) -> IamPrincipal | None:
    """The role or user; None for a role that does not exist.

    A role of an assumed role's ARN may have a path, which only GetRole tells; without permission for that the ARN is
    taken as it is.
    """
    if ":role/" not in arn:
        return {"Arn": arn}
    try:
        return describe_role(aws, arn)
    except ClientError as error:
        if is_denied(error):
            return {"Arn": arn}
        raise


def simulate(aws: Aws, principal: str, questions: Sequence[Question]) -> dict[Question, str | None]:
    """For each question why the answer is no, or None when it is yes. Raises ClientError."""
    calls = [
        (resource, context, actions[start : start + ACTIONS_A_CALL])
        for (resource, context), actions in batches(questions).items()
        for start in range(0, len(actions), ACTIONS_A_CALL)
    ]
    client = aws.client("iam")
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:  # more would be throttled
        pages = threads.map(lambda call: list(_simulated(client, principal, *call)), calls)
        answers = {question: reason for page in pages for question, reason in page}
    return {question: answers[question] for question in questions}


def _simulated(
    client: Any, principal: str, resource: str, context: Context, actions: list[str]
) -> Iterator[tuple[Question, str | None]]:
    entries = [
        {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": [value]} for key, kind, value in context
    ]
    pages = client.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=principal, ActionNames=actions, ResourceArns=[resource], ContextEntries=entries
    )
    for page in pages:
        for result in page["EvaluationResults"]:
            yield Question(result["EvalActionName"], resource, context), why_not(result)


def why_not(result: SimulationResult) -> str | None:
    """Why an EvaluationResult says no; None when it says yes."""
    if result["EvalDecision"] == "allowed":
        return None
    if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        return ORGANIZATION
    if result["EvalDecision"] == "explicitDeny":
        return f"policy {', '.join(_policies(result))} denies"
    if not result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
        return BOUNDARY
    return NOT_HELD


def _policies(result: SimulationResult) -> list[str]:
    """The names of the policies that decided."""
    return sorted({statement["SourcePolicyId"] for statement in result.get("MatchedStatements", [])}) or ["(unnamed)"]


def judge_permissions(
    subject: str, arn: str, command: str, answers: Mapping[Question, str | None], boundary: str | None = None
) -> Iterator[Finding]:
    """One line about all questions; of many refusals the first few are shown. `command` prints the policy.

    What only the organization refuses is not wrong for sure: the simulator does not know the conditions of service
    control policies. The SageMaker SDK takes it for unverifiable too (sagemaker.core.helper.iam_role_resolver).
    """
    refused: dict[str, list[Question]] = {}
    for question, reason in answers.items():
        if reason is not None:
            refused.setdefault(reason, []).append(question)
    if unsure := refused.pop(ORGANIZATION, []):
        text = f"the simulator says that a service control policy of the organization forbids {_named(unsure)}"
        yield unknown(subject, f"{arn}: {text}; it does not know their conditions: ask who keeps them")
    if refused:
        parts = [f"{_reason(reason, boundary)} {_named(found)}" for reason, found in refused.items()]
        text = f"{arn}: {'; '.join(parts)}. `python -m sagemaker_retraining {command}` prints what it needs"
        yield wrong(subject, text)
    elif not unsure:
        yield ok(subject, f"{arn} may do all {len(answers)} things of `{command}`")


def _reason(reason: str, boundary: str | None) -> str:
    return f"its permissions boundary {boundary} forbids" if reason == BOUNDARY and boundary else reason


def _named(found: list[Question]) -> str:
    """Each action once, with the first resource it was asked about; actions on the same one together."""
    first: dict[str, str] = {}
    for question in found:
        first.setdefault(question.action, question.resource)
    together: dict[str, list[str]] = {}
    for action, resource in list(first.items())[:SHOWN]:
        together.setdefault(resource, []).append(action)
    shown = [f"{', '.join(actions)} on {resource}" for resource, actions in together.items()]
    more = len(first) - SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
