"""Asynchronous endpoints: requests are kept, answered one after the other, and their answers arrive in S3 and SNS."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits.async_kit import arrived, async_config, submit, text_at
from tests.kits.endpoint_kit import Kit, wait_for

pytestmark = pytest.mark.slow


class Topic:
    """An SNS topic, and the messages it has got."""

    def __init__(self, kit: Kit, name: str) -> None:
        sns, self._sqs = kit.server.client("sns"), kit.server.client("sqs")
        self.arn = sns.create_topic(Name=name)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=arn)

    def message(self) -> dict[str, Any]:
        """The next message."""
        [envelope] = wait_for(
            lambda: self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=1).get("Messages"), "a message"
        )
        self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=envelope["ReceiptHandle"])
        message: dict[str, Any] = json.loads(json.loads(envelope["Body"])["Message"])
        return message


def test_an_answer_arrives_in_s3_and_is_told_by_sns(kit: Kit) -> None:
    topic = Topic(kit, "as-done")
    topics = {"SuccessTopic": topic.arn, "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"]}
    found = kit.create("as-done", async_config(kit, "as-done", topics=topics, factor=3))
    assert found["EndpointStatus"] == "InService"
    assert found["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"].endswith("/as-done/out")
    kit.s3.put_object(Bucket=kit.server.bucket, Key="as-done/in.csv", Body=b"1,2")
    location = f"s3://{kit.server.bucket}/as-done/in.csv"
    answer = submit(kit, "as-done", None, InputLocation=location, InferenceId="mine")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "mine"
    prefix = f"s3://{kit.server.bucket}/as-done"
    assert re.fullmatch(rf"{prefix}/out/[0-9a-f-]{{36}}\.out", answer["OutputLocation"])
    assert re.fullmatch(rf"{prefix}/failed/[0-9a-f-]{{36}}-error\.out", answer["FailureLocation"])
    assert arrived(kit, answer["OutputLocation"]) == "3.0,6.0"
    message = topic.message()
    assert message.pop("receivedTime") <= message.pop("eventTime")
    assert base64.b64decode(message.pop("responseBody")["content"]) == b"3.0,6.0"
    assert message == {
        "awsRegion": "us-east-1",
        "invocationStatus": "Completed",
        "requestParameters": {
            "accept": "text/csv",
            "contentType": "text/csv",
            "endpointName": "as-done",
            "inputLocation": location,
        },
        "responseParameters": {
            "contentType": "text/csv; charset=utf-8",
            "outputLocation": answer["OutputLocation"],
        },
        "inferenceId": "mine",
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    assert text_at(kit, answer["FailureLocation"]) is None


def test_a_payload_that_is_sent_along_and_a_name_for_the_answer(kit: Kit) -> None:
    kit.create("as-inline", async_config(kit, "as-inline"))
    answer = submit(kit, "as-inline", "4", Filename="four.csv", S3OutputPathExtension="by/number")
    assert answer["OutputLocation"] == f"s3://{kit.server.bucket}/as-inline/out/by/number/four.csv"
    assert arrived(kit, answer["OutputLocation"]) == "8.0"
    assert len(answer["InferenceId"]) == 36


@pytest.mark.aws_fact("invocation-async-failure")
@pytest.mark.aws_fact("invocation-async-notification")
def test_failures_arrive_too(kit: Kit) -> None:
    topic = Topic(kit, "as-fails")
    kit.create("as-fails", async_config(kit, "as-fails", topics={"ErrorTopic": topic.arn}))
    answer = submit(kit, "as-fails", "-1")
    assert arrived(kit, answer["FailureLocation"]).startswith("<!doctype html>")
    message = topic.message()
    assert message["invocationStatus"] == "Failed"
    assert "responseParameters" not in message
    assert message["inferenceId"] == answer["InferenceId"]
    assert message["failureReason"] == (
        "ClientError: Received server error (500) from model. See the SageMaker Endpoint logs in your account for more "
        "information."
    )
    assert text_at(kit, answer["OutputLocation"]) is None
    nowhere = f"s3://{kit.server.bucket}/as-fails/nowhere"
    answer = submit(kit, "as-fails", None, InputLocation=nowhere)
    assert nowhere in arrived(kit, answer["FailureLocation"])
    assert topic.message()["failureReason"].startswith("ClientError: Failed to download the input")
    assert arrived(kit, submit(kit, "as-fails", "5")["OutputLocation"]) == "10.0"


@pytest.mark.aws_fact("invocation-timeout")
def test_only_so_many_requests_are_with_the_container_at_once(kit: Kit) -> None:
    """Each takes 3 s, one at a time, and may take 8: those that wait in the queue are in time, in the container not."""
    for name, concurrent in (("as-one", 1), ("as-many", 5)):
        kit.create(name, async_config(kit, name, concurrent=concurrent, seconds=3))
    answers = {
        name: [submit(kit, name, str(number), InvocationTimeoutSeconds=8) for number in range(4)]
        for name in ("as-one", "as-many")
    }
    assert [arrived(kit, answer["OutputLocation"]) for answer in answers["as-one"]] == ["0.0", "2.0", "4.0", "6.0"]
    failures = [answer["FailureLocation"] for answer in answers["as-many"]]
    late = wait_for(lambda: [text for url in failures if (text := text_at(kit, url))], "a request that is too late", 60)
    assert all("Your invocation timed out" in text for text in late)


@pytest.mark.aws_fact("invocation-wrong-kind")
@pytest.mark.aws_fact("invocation-async-limits")
def test_each_kind_of_endpoint_has_its_operation(kit: Kit) -> None:
    kit.create("as-kind", async_config(kit, "as-kind"))
    kit.create("as-real-time", kit.config("as-real-time"))
    for call, text in (
        (lambda: kit.invoke("as-kind"), "as-kind of account 123456789012 does not support this inference type"),
        (
            lambda: submit(kit, "as-real-time"),
            "as-real-time of account 123456789012 does not support this inference type",
        ),
        (lambda: submit(kit, "as-nobody"), "Endpoint as-nobody of account 123456789012 not found"),
        (lambda: submit(kit, "as-kind", None), "Exactly one of InputLocation and Body"),
        (lambda: submit(kit, "as-kind", InputLocation="s3://bucket/key"), "Exactly one of InputLocation and Body"),
        (lambda: submit(kit, "as-kind", None, InputLocation="s3://bucket"), "is not of the form"),
        (lambda: submit(kit, "as-kind", "1" * 128_001), "Body has 128001 bytes"),
        (lambda: submit(kit, "as-kind", RequestTTLSeconds=21_601), "RequestTTLSeconds 21601 is not a number from 60"),
    ):
        with pytest.raises(ClientError, match=re.escape(text)) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "ValidationError"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_requests_wait_for_an_update_and_go_with_their_endpoint(kit: Kit) -> None:
    kit.create("as-update", async_config(kit, "as-update", concurrent=1, seconds=5))
    answers = [submit(kit, "as-update", "1") for _ in range(8)]  # 40 s of work for the old model
    kit.update("as-update", async_config(kit, "as-update-next", factor=7))
    texts = [arrived(kit, answer["OutputLocation"]) for answer in answers]
    assert set(texts) == {"2.0", "7.0"}
    kit.update("as-update", async_config(kit, "as-update-slow", concurrent=1, seconds=2))
    dropped = [submit(kit, "as-update", "1") for _ in range(6)]
    kit.delete("as-update")
    kit.create("as-update", "as-update-next")
    arrived(kit, submit(kit, "as-update")["OutputLocation"])
    assert text_at(kit, dropped[-1]["OutputLocation"]) is None


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_requests_that_wait_survive_the_server(make_sagemaker_local: Any, end: str) -> None:
    server = make_sagemaker_local().start()
    kit = Kit(server)
    kit.create("as-back", async_config(kit, "as-back", concurrent=1, seconds=3))
    answers = [submit(kit, "as-back", str(number)) for number in range(6)]
    getattr(server, end)()
    with sqlite3.connect(server.state / "sagemaker.sqlite") as db:
        rows = db.execute("SELECT name, body FROM resources WHERE kind='async-invocation' ORDER BY seq").fetchall()
        assert rows, "the server answered all requests before it ended: nothing was tested"
        name, body = rows[-1][0], json.loads(rows[-1][1])
        body["ReceivedTime"] -= body["RequestTTLSeconds"] + 1
        db.execute("UPDATE resources SET body=? WHERE name=?", (json.dumps(body), name))
    db.close()
    server.start()
    kit.settled("as-back")
    expected = [f"{number * 2}.0" for number in range(5)]
    assert [arrived(kit, answer["OutputLocation"]) for answer in answers[:-1]] == expected
    assert "has expired" in arrived(kit, answers[-1]["FailureLocation"])


def test_configs_that_are_refused(kit: Kit) -> None:
    kit.config("as-refused")
    variant = {"VariantName": "A", "ModelName": "as-refused"}
    asynchronous = {"OutputConfig": {"S3OutputPath": f"s3://{kit.server.bucket}/x"}}
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    with pytest.raises(ClientError, match="AsyncInferenceConfig is not supported with serverless and shadow variants"):
        kit.sagemaker.create_endpoint_config(
            EndpointConfigName="as-refused-config",
            ProductionVariants=[{**variant, **serverless}],
            AsyncInferenceConfig=asynchronous,
        )
