"""Describe's answers, member by member, beside real ones that public projects and AWS's documentation have printed.

`answers/*.json` hold no values, only `members` (path → kind) with their source; `only_here` are members that the local
SageMaker has beside them, `absent` those that it does not have, each with its reason or the row of the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit
from tests.kits.job_kit import IMAGE, Jobs
from tests.kits.transform_kit import Transforms

ANSWERS = Path(__file__).with_name("answers")
KINDS = (
    (bool, "boolean"),
    ((int, float), "number"),
    (str, "text"),
    (datetime, "time"),
    (dict, "structure"),
    (list, "list"),
)
OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/own:1"


def members(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, kind) of every member; an empty structure or list is one of its own."""
    if isinstance(value, dict) and value and path != "HyperParameters":
        for name, item in value.items():
            yield from members(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for item in value:
            yield from members(item, f"{path}[]")
    else:
        yield path, kind(value)


def kind(value: Any) -> str:
    """The word for a value's type."""
    return next(word for types, word in KINDS if isinstance(value, types))


def training(server: LocalSageMaker) -> Any:
    """A job with a channel and metrics."""
    jobs = Jobs(server)
    container = jobs.plain_container("answer-training", "print('loss: 0.25')")
    [channel] = container["InputDataConfig"]
    channel["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "FullyReplicated"
    container["AlgorithmSpecification"] |= {
        "TrainingImage": OWN_IMAGE,
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss: ([0-9.]+)"}],
    }
    answer = jobs.train("answer-training", "", **container)
    for member in ("ContainerEntrypoint", "ContainerArguments"):  # of the request, there in place of an image's own
        del answer["AlgorithmSpecification"][member]
    return answer


def processing(server: LocalSageMaker) -> Any:
    """A job with an input and an output."""
    return Jobs(server).process("answer-processing", "print(1)")


def transform(server: LocalSageMaker) -> Any:
    """A job that says nothing of its container's environment."""
    request = Transforms(server).request("answer-transform", {"a.csv": "1,2"})
    del request["TransformOutput"]["Accept"]  # the real one had none
    server.client("sagemaker").create_transform_job(**request)
    return Transforms(server).end_of_transform("answer-transform")


def endpoint_capture(server: LocalSageMaker) -> Any:
    """A real-time endpoint that captures."""
    kit = Kit(server)
    return kit.create("answer-capture", kit.config("answer-capture", kit.capture("answers")))


def endpoint_async(server: LocalSageMaker) -> Any:
    """An asynchronous endpoint."""
    kit = Kit(server)
    kit.config("answer-async")
    variant = kit.sagemaker.describe_endpoint_config(EndpointConfigName="answer-async")["ProductionVariants"]
    output = {"S3OutputPath": f"s3://{server.bucket}/answers/"}
    kit.sagemaker.create_endpoint_config(
        EndpointConfigName="answer-async-2",
        ProductionVariants=variant,
        AsyncInferenceConfig={"OutputConfig": output},
    )
    return kit.create("answer-async", "answer-async-2")


def endpoint_serverless(server: LocalSageMaker) -> Any:
    """A serverless endpoint."""
    kit = Kit(server)
    kit.config("answer-serverless")
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "answer-serverless",
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    kit.sagemaker.create_endpoint_config(EndpointConfigName="answer-serverless-2", ProductionVariants=[variant])
    return kit.create("answer-serverless", "answer-serverless-2")


def endpoint_config(server: LocalSageMaker) -> Any:
    """A config of one variant."""
    kit = Kit(server)
    kit.config("answer-config")
    return kit.sagemaker.describe_endpoint_config(EndpointConfigName="answer-config")


def model_package(server: LocalSageMaker) -> Any:
    """A version that waits for a person."""
    api = server.client("sagemaker")
    artefact = Jobs(server).put("answer-package/model.tar.gz", b"model")
    api.create_model_package_group(ModelPackageGroupName="answer-package")
    arn = api.create_model_package(
        ModelPackageGroupName="answer-package",
        ModelPackageDescription="Test",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": artefact}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
            "SupportedTransformInstanceTypes": ["ml.m5.large"],
        },
        ModelApprovalStatus="PendingManualApproval",
    )["ModelPackageArn"]
    return api.describe_model_package(ModelPackageName=arn)


MAKERS: dict[str, Callable[[LocalSageMaker], Any]] = {
    maker.__name__.replace("_", "-"): maker
    for maker in (
        training,
        processing,
        transform,
        endpoint_capture,
        endpoint_async,
        endpoint_serverless,
        endpoint_config,
        model_package,
    )
}


def test_every_real_answer_is_compared() -> None:
    assert sorted(path.stem for path in ANSWERS.glob("*.json")) == sorted(MAKERS)


@pytest.mark.aws_fact("endpoint-serverless-describe")
@pytest.mark.parametrize("name", MAKERS)
def test_describe_has_the_members_of_a_real_answer(sagemaker_local: LocalSageMaker, name: str) -> None:
    real = json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))
    answer = {key: value for key, value in MAKERS[name](sagemaker_local).items() if key != "ResponseMetadata"}
    ours = dict(members(answer))
    missing = {path: kind for path, kind in real["members"].items() if ours.get(path) != kind}
    assert missing.keys() == real["absent"].keys(), missing
    assert ours.keys() - real["members"].keys() == real["only_here"].keys()
