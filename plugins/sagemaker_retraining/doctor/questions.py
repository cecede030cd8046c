"""From the policies of include/iam to the questions that IAM's simulator is asked. Pure.

Which resources and condition keys an action has:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sagemaker_retraining.doctor.answers import as_list
from sagemaker_retraining.doctor.images import ECR
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.requests.policies import Policy, Statement

Context = tuple[tuple[str, str, str], ...]
"""`(key, type, value)` of each condition key."""
SAMPLE = "doctor"
_AUTHORIZED_ON_TOO = {"CreateEndpoint": "endpoint-config", "CreateModelPackage": "model-package-group"}


@dataclass(frozen=True)
class Question:
    """Whether an action is allowed on a resource, in a request that has these condition keys."""

    action: str
    resource: str
    context: Context = ()


def questions_about(document: Policy, scope: Scope) -> list[Question]:
    """What a policy allows, as questions about the names that the models of the environment will have."""
    found = [
        Question(action, resource, _context(statement))
        for statement in as_list(document["Statement"])
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        for pattern in _of_action(action, as_list(statement["Resource"]))
        for resource in _samples(pattern, scope)
    ]
    return list(dict.fromkeys(found))


def denied_questions(document: Policy, scope: Scope) -> list[Question]:
    """What a policy denies, asked of the versions of every model: an `allowed` here is wrong."""
    where = scope.environment
    start = f"arn:{where.partition}:sagemaker:{where.region}:{where.account}:model-package"
    found = [
        Question(action, f"{start}/{scope.name(model.group)}/1", _context(statement))
        for statement in as_list(document["Statement"])
        if statement["Effect"] == "Deny"
        for action in as_list(statement["Action"])
        for model in scope.models
    ]
    return list(dict.fromkeys(found))


def batches(questions: Iterable[Question]) -> dict[tuple[str, Context], list[str]]:
    """The actions by resource and context: one call of the simulator asks about one resource, whose answer stands in
    one place then, and takes its context for all its actions."""
    grouped: dict[tuple[str, Context], list[str]] = {}
    for question in questions:
        grouped.setdefault((question.resource, question.context), []).append(question.action)
    return grouped


def _of_action(action: str, resources: list[str]) -> list[str]:
    """The resources that an action is about, of those of its statement: CreateTrainingJob is about training jobs."""
    service, _, operation = action.partition(":")
    if service != "sagemaker" or len(resources) < 2:
        return resources
    kinds = {resource: resource.split(":", 5)[-1].split("/")[0] for resource in resources}
    named = {kind for kind in kinds.values() if kind.replace("-", "") in operation.lower()}
    if not named:
        return resources
    longest = max(named, key=len)  # CreateModelPackageGroup holds the names of three kinds
    return [resource for resource, kind in kinds.items() if kind in {longest, _AUTHORIZED_ON_TOO.get(operation)}]


def _samples(pattern: str, scope: Scope) -> Iterator[str]:
    """Resources that match a pattern: those of the models, where the pattern is about their names."""
    if "*" not in pattern or pattern == "*":
        yield pattern
    elif ":repository/" in pattern:
        yield from _repositories(pattern, scope)
    else:
        for model in scope.models:
            yield _sample(pattern, scope, model.model, model.slug)


def _sample(pattern: str, scope: Scope, model: str, slug: str) -> str:
    """One resource of a model that matches a pattern; its name is the plan's."""
    head, _, last = pattern.rpartition(":")
    if ":sagemaker:" in pattern:
        kind = last.split("/")[0]
        plan = scope.plans[model]
        endpoint = plan["deploy"]["endpoint"]["EndpointName"] if "deploy" in plan else slug
        group = plan["register"]["group"]["ModelPackageGroupName"]
        names = {
            "model-package-group": group,
            "model-package": f"{group}/1",
            "endpoint": endpoint,
            "endpoint-config": f"{endpoint}-{SAMPLE}",
            "model": f"{endpoint}-{SAMPLE}",
        }
        kind = "processing-job" if kind == "*" else kind
        return f"{head}:{kind}/{names.get(kind, f'{slug}-{SAMPLE}')}"
    if ":s3:" in pattern:
        return pattern.replace("*", model if pattern.count("*") > 1 else f"{model}/{SAMPLE}", 1).replace("*", SAMPLE)
    if ":log-group:" in pattern:
        return pattern.removesuffix("*") + f"{SAMPLE if pattern.endswith('/*') else ''}:log-stream:{SAMPLE}"
    if ":alarm:" in pattern:
        return f"{pattern.removesuffix('*')}{slug}-{SAMPLE}"
    return pattern.replace("*", SAMPLE)


def _repositories(pattern: str, scope: Scope) -> Iterator[str]:
    """The repositories of the models' images."""
    for model in scope.models:
        if found := ECR.fullmatch(model.image.uri or ""):
            start = f"arn:{scope.environment.partition}:ecr:{found['region']}:{found['account']}"
            arn = f"{start}:repository/{found['repository']}"
            if fnmatchcase(arn, pattern):
                yield arn


def _context(statement: Statement) -> Context:
    """A value of each condition key with which the statement's conditions hold."""
    return tuple(
        (key, "boolean" if operator.startswith("Bool") else "string", str(as_list(value)[0]).replace("*", SAMPLE))
        for operator, keys in statement.get("Condition", {}).items()
        if not operator.startswith("Null")
        for key, value in keys.items()
    )
