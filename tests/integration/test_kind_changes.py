"""Deploy and verify know which changes of an endpoint's kind SageMaker refuses."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from tests.conftest import LocalSageMaker
from tests.kits.serving_kit import Serving, short_name

pytestmark = pytest.mark.usefixtures("aws_connection")


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "serverless: {}", "has instances, and SageMaker makes no such endpoint serverless"),
        ("asynchronous: {}", "", "is asynchronous, which SageMaker takes from no endpoint"),
    ],
)
def test_deploy_refuses_another_kind_before_it_makes_anything(
    serving: Serving, before: str, after: str, said: str
) -> None:
    served = serving.deploy(serving.version(1), serving.plan(before))
    with pytest.raises(AirflowFailException, match=f"{said}: choose another deploy.endpoint.*Nothing was made"):
        serving.deploy(serving.version(2), serving.plan(after))
    assert serving.configs() == [served["endpoint_config"]]
    assert serving.endpoint()["EndpointConfigName"] == served["endpoint_config"]


def test_deploy_says_that_the_config_that_serves_is_gone(serving: Serving) -> None:
    """At once: to ask again for a minute, as of a config that was just made, would end as a raw error."""
    served = serving.deploy(serving.version(1))["endpoint_config"]
    serving.sagemaker.delete_endpoint_config(EndpointConfigName=served)
    started = time.monotonic()
    with pytest.raises(AirflowFailException, match=f"serves the config {served}, which has been deleted.*of that name"):
        serving.deploy(serving.version(2))
    assert time.monotonic() - started < 20
    assert serving.configs() == []


def test_verify_cannot_put_serverless_back(serving: Serving) -> None:
    serving.deploy(serving.version(1), serving.plan("serverless: {}"))
    after = serving.deploy(serving.version(2, factor=2.5))
    with pytest.raises(AirflowFailException, match=r"offline 2.0, endpoint 2.5.*cannot be put back: .*has instances"):
        serving.verify(2, after)
    assert serving.endpoint()["EndpointConfigName"] == after["endpoint_config"]
