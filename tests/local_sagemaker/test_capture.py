"""Data capture: each sampled request is in S3 once, in SageMaker's layout and format, across updates and restarts."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from include.sagemaker_local.endpoints.capture import CaptureConfig
from tests.kits.endpoint_kit import Kit, wait_for

KEY = re.compile(
    r"AllTraffic/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.jsonl"
)


def captured(kit: Kit, prefix: str, number: int) -> list[dict[str, Any]]:
    """The events under a prefix once there are this many."""
    wait_for(lambda: sum(1 for _ in kit.events(prefix)) >= number, f"{number} captured events")
    return list(kit.events(prefix))


@pytest.mark.aws_fact("capture-line")
def test_all_requests_are_captured_at_100_percent(kit: Kit) -> None:
    found = kit.create("cap-all", kit.config("cap-all", kit.capture("cap-all/data")))
    assert found["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{kit.server.bucket}/cap-all/data",
        "KmsKeyId": "",
    }
    for number in range(150):
        kit.invoke("cap-all", str(number), InferenceId=f"request-{number}")
    kit.delete("cap-all")
    events = list(kit.events("cap-all/data"))
    assert sorted(float(event["captureData"]["endpointInput"]["data"]) for event in events) == list(range(150))
    assert len({event["eventMetadata"]["eventId"] for event in events}) == 150
    for event in events:
        number = event["captureData"]["endpointInput"]["data"]
        assert event["captureData"] == {
            "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": number, "encoding": "CSV"},
            "endpointOutput": {
                "observedContentType": "text/csv; charset=utf-8",
                "mode": "OUTPUT",
                "data": str(float(number) * 2),
                "encoding": "CSV",
            },
        }
        assert event["eventVersion"] == "0"
        assert event["eventMetadata"]["inferenceId"] == f"request-{number}"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["eventMetadata"]["inferenceTime"])
    objects = kit.objects("cap-all/data")
    assert all(KEY.fullmatch(key.removeprefix("cap-all/data/cap-all/")) for key in objects)
    assert len(objects) < 50, "events are batched"


def test_encodings_follow_the_content_type_header(kit: Kit) -> None:
    only_json = kit.capture("cap-encode/data", CaptureContentTypeHeader={"JsonContentTypes": ["application/json"]})
    kit.create("cap-encode", kit.config("cap-encode", only_json))
    kit.invoke("cap-encode", '{"x": [1]}', ContentType="application/json", Accept="text/csv")
    [event] = captured(kit, "cap-encode/data", 1)
    assert event["captureData"]["endpointInput"]["encoding"] == "JSON"
    assert event["captureData"]["endpointInput"]["data"] == '{"x": [1]}'
    output = event["captureData"]["endpointOutput"]
    assert (output["encoding"], base64.b64decode(output["data"])) == ("BASE64", b"2")
    assert "inferenceId" not in event["eventMetadata"]


@pytest.mark.parametrize(("mode", "member"), [("Input", "endpointInput"), ("Output", "endpointOutput")])
def test_only_what_the_options_say_is_captured(kit: Kit, mode: str, member: str) -> None:
    name = f"cap-only-{mode.lower()}"
    kit.create(name, kit.config(name, kit.capture(name, CaptureOptions=[{"CaptureMode": mode}])))
    kit.invoke(name)
    [event] = captured(kit, name, 1)
    assert list(event["captureData"]) == [member]


def test_nothing_is_captured_when_disabled_or_at_0_percent_or_when_the_model_fails(kit: Kit) -> None:
    for name, capture in (
        ("cap-zero", kit.capture("cap-nothing/zero", 0)),
        ("cap-disabled", kit.capture("cap-nothing/disabled", EnableCapture=False)),
        ("cap-errors", kit.capture("cap-nothing/errors")),
    ):
        found = kit.create(name, kit.config(name, capture))
        assert found["DataCaptureConfig"]["CaptureStatus"] == ("Stopped" if name == "cap-disabled" else "Started")
        for _ in range(30):
            if name == "cap-errors":
                with pytest.raises(kit.runtime.exceptions.ModelError):
                    kit.invoke(name, "-1")
            else:
                kit.invoke(name)
        kit.delete(name)
    assert kit.objects("cap-nothing/") == {}


def test_a_part_is_captured_at_a_lower_percentage() -> None:
    body = {
        "InitialSamplingPercentage": 20,
        "DestinationS3Uri": "s3://bucket/prefix",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    }
    config = CaptureConfig.parse(body)
    assert config is not None
    hits = sum(config.sampled() for _ in range(20_000))
    assert abs(hits - 4000) < 6 * (20_000 * 0.2 * 0.8) ** 0.5


def test_capture_follows_the_config_through_updates(kit: Kit) -> None:
    for step, capture in (("a", kit.capture("cap-update/a")), ("b", None), ("c", kit.capture("cap-update/c"))):
        kit.config(f"cap-update-{step}", capture)
    kit.create("cap-update", "cap-update-a")
    kit.invoke("cap-update", "1")
    assert "DataCaptureConfig" not in kit.update("cap-update", "cap-update-b")
    assert len(list(kit.events("cap-update/a"))) == 1, "what was captured before the update is there after it"
    kit.invoke("cap-update", "2")
    kit.update("cap-update", "cap-update-c")
    kit.invoke("cap-update", "3")
    kit.delete("cap-update")
    data = [event["captureData"]["endpointInput"]["data"] for event in kit.events("cap-update/")]
    assert sorted(data) == ["1", "3"]


def test_events_wait_while_the_bucket_is_missing(kit: Kit) -> None:
    capture = {**kit.capture(""), "DestinationS3Uri": "s3://cap-late-bucket/data"}
    kit.create("cap-late", kit.config("cap-late", capture))
    kit.invoke("cap-late", "5")
    kit.delete("cap-late")
    kit.s3.create_bucket(Bucket="cap-late-bucket")

    def content() -> str:
        listed = kit.s3.list_objects_v2(Bucket="cap-late-bucket").get("Contents", [])
        return "".join(
            kit.s3.get_object(Bucket="cap-late-bucket", Key=item["Key"])["Body"].read().decode() for item in listed
        )

    event = json.loads(wait_for(content, "the events to arrive in the bucket"))
    assert event["captureData"]["endpointInput"]["data"] == "5"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_no_event_is_lost_when_the_server_ends(make_sagemaker_local: Any, end: str) -> None:
    server = make_sagemaker_local().start()
    kit = Kit(server)
    capture = {**kit.capture(""), "DestinationS3Uri": "s3://cap-end/data"}  # the bucket is made after the restart
    kit.create("cap-end", kit.config("cap-end", capture))
    for number in range(40):
        kit.invoke("cap-end", str(number))
    getattr(server, end)()
    server.start()
    kit.s3.create_bucket(Bucket="cap-end")

    def inputs() -> list[int]:
        listed = kit.s3.list_objects_v2(Bucket="cap-end").get("Contents", [])
        contents = [kit.s3.get_object(Bucket="cap-end", Key=item["Key"])["Body"].read() for item in listed]
        events = [json.loads(line) for content in contents for line in content.splitlines()]
        return sorted(int(event["captureData"]["endpointInput"]["data"]) for event in events)

    wait_for(lambda: inputs() == list(range(40)), "all events, once")


def test_invocations_are_cloudwatch_metrics(kit: Kit) -> None:
    kit.create("cap-metrics", kit.config("cap-metrics"))
    for _ in range(12):
        kit.invoke("cap-metrics")
    with pytest.raises(kit.runtime.exceptions.ModelError):
        kit.invoke("cap-metrics", "-1")

    def total(metric: str) -> float:
        return kit.metric(metric, "cap-metrics", "AllTraffic")

    wait_for(lambda: total("Invocations") == 13, "13 invocations in CloudWatch")
    assert total("Invocation5XXErrors") == 1
    assert total("Invocation4XXErrors") == 0
    assert total("ModelLatency") > 0
