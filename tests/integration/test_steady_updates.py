"""Three updates of an endpoint under load: no request is lost, and data capture goes on as configured."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit
from tests.kits.serving_kit import Serving, short_name
from tests.kits.steady_client import SteadyClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("as_dag_role")]
PER_SECOND = 100
REQUESTS = 5000
# On each config between two updates: that none of 500 requests is captured has a chance of 0.8 ** 500.
BETWEEN = 500
CAPTURED = 0.2
ROLLOUTS = (
    "",
    "rollout: {strategy: canary, percent: 25, wait_seconds: 3, termination_wait_seconds: 1}",
    "rollout: {strategy: linear, percent: 25, wait_seconds: 1, termination_wait_seconds: 1}",
)


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


def test_three_updates_lose_no_request_and_no_capture(serving: Serving) -> None:
    versions = [serving.version(number) for number in (1, 2, 3, 4)]
    configs = [serving.deploy(versions[0])["endpoint_config"]]
    client = SteadyClient(serving.server, serving.name, PER_SECOND)
    with client:
        client.wait_for(BETWEEN)
        for version, rollout in zip(versions[1:], ROLLOUTS, strict=True):
            deployed = serving.deploy(version, serving.plan(rollout))
            assert (deployed["status"], deployed["previous_endpoint_config"]) == ("InService", configs[-1])
            configs.append(deployed["endpoint_config"])
            client.wait_for(BETWEEN)
        client.wait_for(max(0, REQUESTS - client.sent))
    assert client.errors == {}
    assert client.sent >= REQUESTS
    assert len(set(configs)) == 4
    answers = Counter(client.factors())
    assert set(answers) == {1.0, 2.0, 3.0, 4.0}
    assert min(answers.values()) >= BETWEEN, "each version has answered"
    capture = serving.endpoint()["DataCaptureConfig"]
    assert (capture["EnableCapture"], capture["CaptureStatus"]) == (True, "Started")
    assert capture["CurrentSamplingPercentage"] == 100 * CAPTURED

    Kit(serving.server).delete(serving.name)  # with which all that was captured is in S3
    events = captured_events(serving)
    # Each request is drawn by itself: a binomial distribution. Five standard deviations are missed by chance once in
    # two million runs, and are about 140 of 5000 requests, so that capture lost by one of the updates would show.
    deviation = (client.sent * CAPTURED * (1 - CAPTURED)) ** 0.5
    assert abs(len(events) - client.sent * CAPTURED) <= 5 * deviation
    check_format(events)
    check_content(events, client)


def captured_events(serving: Serving) -> list[dict[str, Any]]:
    """All lines of all files, which pandas reads too."""
    files = Kit(serving.server).objects(f"demo_model/data-capture/{serving.name}/AllTraffic/")
    for content in files.values():
        frame = pd.read_json(io.BytesIO(content), lines=True)
        assert set(frame.columns) == {"captureData", "eventMetadata", "eventVersion"}
        assert len(frame) == len(content.splitlines())
    return [json.loads(line) for content in files.values() for line in content.splitlines()]


def check_format(events: list[dict[str, Any]]) -> None:
    """AWS's: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html"""
    for event in events:
        assert set(event) == {"captureData", "eventMetadata", "eventVersion"}
        assert event["eventVersion"] == "0"
        assert set(event["eventMetadata"]) == {"eventId", "inferenceTime"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["eventMetadata"]["inferenceTime"])
        assert set(event["captureData"]) == {"endpointInput", "endpointOutput"}
        for member, mode in (("endpointInput", "INPUT"), ("endpointOutput", "OUTPUT")):
            part = event["captureData"][member]
            assert set(part) == {"observedContentType", "mode", "data", "encoding"}
            assert (part["mode"], part["encoding"]) == (mode, "CSV")
            assert part["observedContentType"].startswith("text/csv")
    assert len({event["eventMetadata"]["eventId"] for event in events}) == len(events)


def check_content(events: list[dict[str, Any]], client: SteadyClient) -> None:
    """Each event is a request the client sent, once, with the answer it got; every version has some."""
    parts = [event["captureData"] for event in events]
    found = {int(part["endpointInput"]["data"]): float(part["endpointOutput"]["data"]) for part in parts}
    assert len(found) == len(events), "no request is captured twice"
    assert found.items() <= client.answers.items()
    assert {answer / row for row, answer in found.items()} == {1.0, 2.0, 3.0, 4.0}
