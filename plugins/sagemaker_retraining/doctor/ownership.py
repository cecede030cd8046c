"""Names in SageMaker: the group and the endpoint of a model do not exist yet, or belong to the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.findings import Check, Finding, ok, wrong
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.plan import ownership
from sagemaker_retraining.plan.document import EndpointTemplate
from sagemaker_retraining.registry import is_not_found
from sagemaker_retraining.requests.registry import foreign_tags

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import CreateModelPackageGroupInputTypeDef, TagTypeDef

T = TypeVar("T")


def ownership_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """The group of each model, and its endpoint where it has one."""
    for model in scope.models:
        plan = scope.plans[model.model]
        yield Check(
            f"group of {model.model}", partial(_group, aws, plan["register"]["group"], f"group of {model.model}")
        )
        if "deploy" in plan:
            subject = f"endpoint of {model.model}"
            yield Check(subject, partial(_endpoint, aws, plan["deploy"]["endpoint"], subject))


def _group(aws: Aws, request: CreateModelPackageGroupInputTypeDef, subject: str) -> Iterator[Finding]:
    api, name = aws.client("sagemaker"), request["ModelPackageGroupName"]
    group = _described(lambda: api.describe_model_package_group(ModelPackageGroupName=name))
    if group is None:
        yield ok(subject, f"{name} is not there yet; the first run makes it")
        return
    if foreign := foreign_tags(request["Tags"], _tags(api, group["ModelPackageGroupArn"])):
        yield wrong(subject, f"{name} is another's: {'; '.join(foreign)}. Choose another register.group")
    else:
        yield ok(subject, f"{name} is this model's")


def _endpoint(aws: Aws, request: EndpointTemplate, subject: str) -> Iterator[Finding]:
    api, name = aws.client("sagemaker"), request["EndpointName"]
    endpoint = _described(lambda: api.describe_endpoint(EndpointName=name))
    if endpoint is None:
        yield ok(subject, f"{name} is not there yet; the first deployment makes it")
        return
    theirs = {tag["Key"]: tag["Value"] for tag in _tags(api, endpoint["EndpointArn"])}
    yield judge_endpoint(subject, name, request["Tags"], theirs)


def judge_endpoint(subject: str, name: str, tags: Iterable[TagTypeDef], theirs: Mapping[str, str]) -> Finding:
    """Whether the endpoint is this model's, by the rule of the task deploy: its tags say so."""
    ours = ownership({tag["Key"]: tag["Value"] for tag in tags})
    differing = [
        f"{key}={theirs.get(key, 'none')}, not {value}" for key, value in ours.items() if theirs.get(key) != value
    ]
    if differing:
        text = f"{name} is another's: its tags say {'; '.join(differing)}. Choose another deploy.endpoint, or tag it"
        return wrong(subject, text)
    return ok(subject, f"{name} is this model's")


def _described(describe: Callable[[], T]) -> T | None:
    """The answer of a Describe call; None for what does not exist. Raises ClientError."""
    try:
        return describe()
    except ClientError as error:
        if not is_not_found(error):
            raise
        return None


def _tags(api: Any, arn: str) -> list[TagTypeDef]:
    return [tag for page in api.get_paginator("list_tags").paginate(ResourceArn=arn) for tag in page["Tags"]]
