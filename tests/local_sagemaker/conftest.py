"""Fixtures of the tests of the local SageMaker: what they ask of the server that all tests share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit
from tests.kits.job_kit import Jobs


@pytest.fixture(scope="session")
def sagemaker(sagemaker_local: LocalSageMaker) -> Any:
    """A boto3 client."""
    return sagemaker_local.client("sagemaker")


@pytest.fixture(scope="session")
def kit(sagemaker_local: LocalSageMaker) -> Kit:
    """Endpoints."""
    return Kit(sagemaker_local)


@pytest.fixture(scope="session")
def jobs(sagemaker_local: LocalSageMaker) -> Jobs:
    """Jobs."""
    return Jobs(sagemaker_local)
