"""Container images: whether they are in ECR, in the region of the jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import code_of
from sagemaker_retraining.doctor.findings import Check, Finding, ok, wrong
from sagemaker_retraining.doctor.scope import Scope

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<repository>[^:@]+)(?P<version>.*)"
)
_MANIFESTS = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
]


def image_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """One for each image."""
    used: dict[str, list[str]] = {}
    for model in scope.models:
        used.setdefault(model.image.uri or "", []).append(model.model)
    for uri, models in used.items():
        subject = f"image of {', '.join(models)}"
        yield Check(subject, partial(_look, aws, scope, uri, subject))


def _look(aws: Aws, scope: Scope, uri: str, subject: str) -> Iterator[Finding]:
    region = scope.environment.region
    if (found := ECR.fullmatch(uri)) is None:
        yield wrong(subject, f"{uri} is not in ECR, where SageMaker takes images from")
        return
    if found["region"] != region:
        yield wrong(subject, f"{uri} is in {found['region']}, jobs run in {region}: copy it to an ECR repository there")
        return
    try:
        answer = aws.client("ecr").batch_get_image(
            registryId=found["account"],
            repositoryName=found["repository"],
            imageIds=[_image_id(found["version"])],
            acceptedMediaTypes=_MANIFESTS,
        )
    except ClientError as error:
        if code_of(error) != "RepositoryNotFoundException":
            raise
        yield wrong(subject, f"{uri}: there is no such repository; correct `image`, or push it there")
        return
    if failures := answer.get("failures"):
        yield wrong(subject, f"{uri} is not there ({failures[0]['failureCode']}); correct `image`, or push it there")
    else:
        yield ok(subject, f"{uri} is there")


def _image_id(version: str) -> dict[str, str]:
    """A tag (`:3.0-5`) or digest (`@sha256:…`) as BatchGetImage takes it."""
    return {"imageDigest": version[1:]} if version.startswith("@") else {"imageTag": version[1:] or "latest"}
