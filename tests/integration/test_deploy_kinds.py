"""Endpoints of other kinds through the operators, as model.yaml describes them: serverless, asynchronous, a shadow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit
from tests.kits.job_kit import archive
from tests.kits.serving_kit import Serving, short_name
from tests.kits.transform_kit import INFERENCE as READS_CSV_AND_JSON

pytestmark = pytest.mark.usefixtures("as_dag_role")


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


@pytest.mark.slow
def test_serverless_answers_after_a_cold_start_and_after_an_update(serving: Serving) -> None:
    plan = serving.plan("serverless: {memory_mb: 1024, max_concurrency: 5}")
    versions = [serving.version(number, load_seconds=1) for number in (1, 2)]
    created = serving.deploy(versions[0], plan)
    verified = serving.verify(1, created, plan)
    assert verified["max_difference"] == 0
    assert verified["p50_ms"] < 1000 <= verified["p99_ms"], "the container started with the first request"
    [variant] = serving.endpoint()["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 5}
    assert "DataCaptureConfig" not in serving.endpoint()
    updated = serving.deploy(versions[1], plan)
    assert updated["previous_endpoint_config"] == created["endpoint_config"]
    assert serving.verify(2, updated, plan)["max_difference"] == 0
    assert serving.answer("5") == 10.0


def test_serverless_that_answers_otherwise_is_put_back(serving: Serving) -> None:
    plan = serving.plan("serverless: {}")
    before = serving.deploy(serving.version(1), plan)
    after = serving.deploy(serving.version(2, factor=2.5), plan)
    with pytest.raises(AirflowFailException, match=r"1: offline 2.0, endpoint 2.5; .*serves again"):
        serving.verify(2, after, plan)
    assert serving.endpoint()["EndpointConfigName"] == before["endpoint_config"]
    assert serving.answer("5") == 5.0


@pytest.mark.slow
def test_asynchronous_answers_through_s3(serving: Serving) -> None:
    plan = serving.plan("asynchronous: {max_concurrent_invocations: 2}", run_id=serving.name)
    kit, requests = Kit(serving.server), plan["verify"]["asynchronous_uri"]
    created = serving.deploy(serving.version(1), plan)
    assert serving.endpoint()["AsyncInferenceConfig"]["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": 2}
    assert serving.verify(1, created, plan)["max_difference"] == 0
    sent = kit.objects(requests.removeprefix(f"s3://{serving.server.bucket}/"))
    assert sorted(sent.values()) == [b"1", b"2", b"3"]
    updated = serving.deploy(serving.version(2), plan)
    assert updated["previous_endpoint_config"] == created["endpoint_config"]
    result = serving.verify(2, updated, plan)
    assert (result["requests"], result["max_difference"]) == (3, 0.0)
    failing = serving.deploy(serving.version(3, fails=True), plan)
    with pytest.raises(AirflowFailException, match=r"1: offline 3.0, the model fails: .*serves again"):
        serving.verify(3, failing, plan)
    assert serving.endpoint()["EndpointConfigName"] == updated["endpoint_config"]


@pytest.mark.slow
def test_a_shadow_gets_copies_and_answers_nobody(serving: Serving) -> None:
    plan = serving.plan("challenger: {as: shadow, percent: 50}, data_capture: {sampling_percentage: 100}")
    versions = [serving.version(number) for number in (1, 2, 3)]
    first = serving.deploy(versions[0], plan)
    assert (first["variant"], first["shadow"]) == ("AllTraffic", False), "nobody serves yet"
    second = serving.deploy(versions[1], plan)
    assert (second["variant"], second["shadow"]) == ("Challenger", True)
    endpoint = serving.endpoint()
    assert [variant["VariantName"] for variant in endpoint["ProductionVariants"]] == ["AllTraffic"]
    [shadow] = endpoint["ShadowProductionVariants"]
    assert (shadow["VariantName"], shadow["CurrentWeight"]) == ("Challenger", 0.5)
    rows = range(1, 101)
    assert [serving.answer(str(row)) for row in rows] == [float(row) for row in rows]
    assert serving.served_version() == versions[0]
    third = serving.deploy(versions[2], plan)  # takes the shadow's place, not production's
    copies = captured(serving, "Challenger")
    assert 25 <= len(copies) <= 75, "half of them, within five standard deviations"
    assert all(answer == 2 * row for row, answer in copies.items())
    assert copies.keys() <= captured(serving, "AllTraffic").keys() == set(rows)
    assert (third["shadow"], serving.answer("7")) == (True, 7.0)
    assert serving.served_version() == versions[0]
    with pytest.raises(AirflowFailException, match=r"variant Challenger did not pass the ping.*serves on"):
        serving.deploy(serving.version(4, broken=True), plan)
    assert (serving.endpoint()["EndpointConfigName"], serving.answer("7")) == (third["endpoint_config"], 7.0)
    won = serving.deploy(versions[2])
    assert (won["variant"], won["shadow"], serving.answer("7")) == ("AllTraffic", False, 21.0)
    assert "ShadowProductionVariants" not in serving.endpoint()


def captured(serving: Serving, variant: str) -> dict[float, float]:
    """Row to answer of a variant: all of the configs before the one that serves, whose end brought them to S3."""
    events = Kit(serving.server).events(f"demo_model/data-capture/{serving.name}/{variant}/")
    found = [event["captureData"] for event in events]
    return {float(item["endpointInput"]["data"]): float(item["endpointOutput"]["data"]) for item in found}


def test_a_sample_of_a_type_that_the_model_does_not_read(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    after = serving.deploy(serving.version(2, archive=archive({"code/inference.py": READS_CSV_AND_JSON})))
    row = {"content_type": "application/x-image", "body": "1", "prediction": 1.0}
    key = f"serving/{serving.name}/2/sample.jsonl"
    serving.s3.put_object(Bucket=serving.server.bucket, Key=key, Body=json.dumps(row).encode())
    with pytest.raises(AirflowFailException, match=r"client error \(415\).*I do not read application/x-image.*again"):
        serving.verify(2, after)
    assert serving.endpoint()["EndpointConfigName"] == before["endpoint_config"]
    assert serving.answer("7") == 7.0
