"""A version that answers badly in production: the roll-out goes back by itself, says why, and the next one succeeds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import wait_for
from tests.kits.serving_kit import Serving, short_name
from tests.kits.steady_client import SteadyClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("as_dag_role")]
PER_SECOND = 20
# Far apart from what a good version takes on a busy machine.
SLOW_SECONDS, TOO_SLOW_MS = 2.5, 2000


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


def guarded(serving: Serving, alarm: str, wait_seconds: int) -> dict[str, Any]:
    """A plan that gives half of the requests to the canary and watches this alarm over ten seconds."""
    return serving.plan(
        f"instance_count: 2, alarms: [{{{alarm}, period_seconds: 10}}], rollout: {{strategy: canary, percent: 50, "
        f"wait_seconds: {wait_seconds}, termination_wait_seconds: 0}}"
    )


def roll_back(serving: Serving, client: SteadyClient, alarm: str, **fault: Any) -> None:
    """Deploy a first version, then a bad one that SageMaker takes back, then a corrected one."""
    before = serving.deploy(serving.version(1), guarded(serving, alarm, 10))
    # Far longer than the alarm needs: if it does not go off, the test ends with the bad version in service.
    plan = guarded(serving, alarm, 120)
    bad, good = serving.version(2, **fault), serving.version(3)
    with client:
        client.wait_for(PER_SECOND)
        assert client.errors == {}
        first = client.sent
        with pytest.raises(AirflowFailException) as failure:
            serving.deploy(bad, plan)
        text = str(failure.value)
        assert text.startswith(f"{serving.name} is InService on {before['endpoint_config']}, wanted {serving.name}-")
        watched = re.search(r"\(alarms of the roll-out: (\S+); in ALARM now: ", text)
        assert watched is not None, text
        name = watched[1]
        assert name.startswith(f"{serving.name}-")
        assert f"are in ALARM state: {name}." in text, "SageMaker's reason"
        assert text.endswith("What served before serves on; correct the cause and clear this task")
        endpoint = serving.endpoint()
        assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", before["endpoint_config"])
        last = client.sent + 1  # one may be under way
        client.wait_for(PER_SECOND)
        assert all(first < row <= last for row in client.errors), "the canary's own failures, none before or after"
        assert set(client.factors(after=last)) == {1.0}
        wait_for(lambda: state(serving, name) == "OK", "the alarm to be quiet again", 60)
        after = serving.deploy(good, guarded(serving, alarm, 10))
        client.wait_for(PER_SECOND)
    assert after["previous_endpoint_config"] == before["endpoint_config"]
    assert serving.answer() == 6.0
    assert client.factors()[-1] == 3.0
    assert max(client.errors, default=0) <= last, "the corrected version loses no request"


def state(serving: Serving, alarm: str) -> str:
    """Of an alarm, as CloudWatch tells it."""
    [found] = serving.server.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return str(found["StateValue"])


def test_a_slow_version_goes_back_and_no_request_is_lost(serving: Serving) -> None:
    client = SteadyClient(serving.server, serving.name, PER_SECOND)
    roll_back(serving, client, f"metric: latency_p99_ms, above: {TOO_SLOW_MS}", seconds=SLOW_SECONDS)
    assert client.errors == {}
    assert set(client.factors()) == {1.0, 2.0, 3.0}, "the slow version's answers came late, but they came"


def test_a_version_that_answers_errors_goes_back(serving: Serving) -> None:
    client = SteadyClient(serving.server, serving.name, PER_SECOND)
    roll_back(serving, client, "metric: error_rate, above: 0.05", fails=True)
    assert client.errors, "half of the requests went to the canary"
    for error in client.errors.values():
        assert isinstance(error, ClientError)
        assert error.response["Error"]["Code"] == "ModelError"
        assert "server error (500)" in str(error)
    assert set(client.factors()) == {1.0, 3.0}
