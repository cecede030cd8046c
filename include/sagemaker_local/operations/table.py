"""What an operation is, and what it gets: the table of the implemented operations of SageMaker's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints.runner import EndpointRunner
from include.sagemaker_local.jobs.runner import JobRunner

Request = dict[str, Any]
"""A request after its check against the service model, which says what it holds; each operation has another shape."""
Response = Mapping[str, Any]
"""Members that the output shape does not know are dropped by the server; times are epoch seconds as float."""


@dataclass(frozen=True)
class OperationContext(Context):
    """Everything an operation may touch: also the executors of jobs and endpoints."""

    jobs: JobRunner
    endpoints: EndpointRunner


Operation = Callable[[OperationContext, Any], Response]
OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register the function that answers this operation of the SageMaker API (`CreateTrainingJob`, …).

    It gets the checked request and returns the response. It raises AwsError for what AWS refuses.
    """

    def register(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return register
