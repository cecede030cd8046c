"""The fault switches of the local SageMaker, as boto3 and as a bare connection see them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.conftest import LocalSageMaker

OFF = {
    "seed": 1,
    "throttle_percent": 0,
    "error_percent": 0,
    "drop_percent": 0,
    "lose_answer": [],
    "conflict": [],
    "fail_rollback": [],
}


class Faulty:
    """A local SageMaker and its fault switches."""

    def __init__(self, server: LocalSageMaker) -> None:
        self.server = server
        self.sagemaker = server.client("sagemaker")

    def request(self, method: str = "GET", body: str = "", path: str = "/_local/faults") -> tuple[int, Any]:
        """The status and the answer of a request to the control API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.request(method, path, body)
        response = connection.getresponse()
        content = json.load(response)
        connection.close()
        return response.status, content

    def switch(self, **settings: Any) -> None:
        """Set the switches; what is not named is off, and all counts are 0."""
        status, answer = self.request("PUT", json.dumps(settings))
        assert status == 200, answer

    def counts(self) -> dict[str, Any]:
        """The counts since the last `switch`."""
        counts: dict[str, Any] = self.request()[1]["counts"]
        return counts

    def outcome(self) -> str:
        """What one ListModels comes to: ok, an error code, or closed."""
        try:
            self.sagemaker.list_models()
        except ClientError as error:
            code: str = error.response["Error"]["Code"]
            return code
        except ConnectionClosedError:
            return "closed"
        return "ok"

    def patient(self) -> Any:
        """A boto3 client that retries as boto3 does by default."""
        session: Any = boto3.Session("test", "test", region_name="us-east-1")
        config = Config(retries={"mode": "standard", "total_max_attempts": 3})
        return session.client("sagemaker", endpoint_url=self.server.url, config=config)


@pytest.fixture
def faulty(sagemaker_local: LocalSageMaker) -> Iterator[Faulty]:
    """The server that all tests share, with its switches off before and after."""
    server = Faulty(sagemaker_local)
    server.switch()
    yield server
    server.switch()


def test_all_switches_are_off_at_the_start(make_sagemaker_local: Callable[..., LocalSageMaker]) -> None:
    server = Faulty(make_sagemaker_local().start())
    none = {"calls": 0, "throttled": 0, "errors": 0, "dropped": 0, "lost": 0, "conflicts": 0, "by_operation": {}}
    assert server.request() == (200, {**OFF, "counts": none})
    server.switch(throttle_percent=100)
    server.server.restart()
    assert server.request() == (200, {**OFF, "counts": none})


def test_calls_are_counted_though_all_is_off(faulty: Faulty) -> None:
    assert [faulty.outcome() for _ in range(3)] == ["ok"] * 3
    faulty.sagemaker.list_training_jobs()
    counts = faulty.counts()
    assert counts["by_operation"] == {"ListModels": 3, "ListTrainingJobs": 1}
    assert (counts["calls"], counts["throttled"], counts["errors"], counts["dropped"], counts["lost"]) == (
        4,
        0,
        0,
        0,
        0,
    )


@pytest.mark.parametrize(
    ("switch", "count", "status", "error"),
    [
        ("throttle_percent", "throttled", 400, ("ThrottlingException", "Rate exceeded")),
        ("error_percent", "errors", 500, ("InternalFailure", "A server error, on purpose: see /_local/faults")),
    ],
)
@pytest.mark.aws_fact("training-throttled")
def test_an_error_instead_of_the_operation(
    faulty: Faulty, switch: str, count: str, status: int, error: tuple[str, str]
) -> None:
    faulty.switch(**{switch: 100})
    with pytest.raises(ClientError) as caught:
        faulty.sagemaker.create_model_package_group(ModelPackageGroupName=f"faults-{count}")
    assert caught.value.response["Error"] == dict(zip(("Code", "Message"), error, strict=True))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert faulty.counts()[count] == 1
    faulty.switch()
    assert groups(faulty, f"faults-{count}") == []


def test_a_dropped_call_is_not_carried_out(faulty: Faulty) -> None:
    faulty.switch(drop_percent=100)
    with pytest.raises(ConnectionClosedError):
        faulty.sagemaker.create_model_package_group(ModelPackageGroupName="faults-dropped")
    assert faulty.counts()["dropped"] == 1
    faulty.switch()
    assert groups(faulty, "faults-dropped") == []


def test_a_call_whose_answer_is_lost_is_carried_out(faulty: Faulty) -> None:
    faulty.switch(lose_answer=[{"operation": "CreateModelPackageGroup", "times": 2}])
    for number in range(2):
        with pytest.raises(ConnectionClosedError):
            faulty.sagemaker.create_model_package_group(ModelPackageGroupName=f"faults-lost-{number}")
    faulty.sagemaker.create_model_package_group(ModelPackageGroupName="faults-lost-2")
    assert groups(faulty, "faults-lost") == ["faults-lost-0", "faults-lost-1", "faults-lost-2"]
    assert faulty.counts()["lost"] == 2


def test_an_error_is_not_lost_in_place_of_an_answer(faulty: Faulty) -> None:
    faulty.switch(lose_answer=[{"operation": "DescribeModel"}])
    with pytest.raises(ClientError, match="ValidationException"):
        faulty.sagemaker.describe_model(ModelName="faults-nothing")
    assert faulty.counts()["lost"] == 0


def test_a_client_that_retries_after_a_lost_answer_finds_its_resource_taken(faulty: Faulty) -> None:
    faulty.switch(lose_answer=[{"operation": "CreateModelPackageGroup"}])
    with pytest.raises(ClientError, match="already exists") as caught:
        faulty.patient().create_model_package_group(ModelPackageGroupName="faults-retried")
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 1


def test_the_same_seed_gives_the_same_fates(faulty: Faulty) -> None:
    def fates(seed: int) -> list[str]:
        faulty.switch(seed=seed, throttle_percent=30, error_percent=20, drop_percent=10)
        return [faulty.outcome() for _ in range(60)]

    first = fates(7)
    assert {*first} == {"ok", "ThrottlingException", "InternalFailure", "closed"}
    assert fates(7) == first
    assert fates(8) != first


def test_the_shares_are_those_asked_for_and_every_call_is_counted(faulty: Faulty) -> None:
    """With the seed given, and so in any order of threads, the shares are fixed."""
    faulty.switch(seed=1, throttle_percent=30, error_percent=5, drop_percent=5)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: faulty.outcome(), range(400)))
    counts = faulty.counts()
    assert counts["by_operation"] == {"ListModels": 400}
    assert counts["throttled"] == outcomes.count("ThrottlingException")
    assert counts["errors"] == outcomes.count("InternalFailure")
    assert counts["dropped"] == outcomes.count("closed")
    assert 100 <= counts["throttled"] <= 140
    assert 10 <= counts["errors"] <= 30
    assert 10 <= counts["dropped"] <= 30


def test_answers_are_lost_as_often_as_asked_for_however_many_call(faulty: Faulty) -> None:
    faulty.switch(lose_answer=[{"operation": "ListModels", "times": 7}])
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: faulty.outcome(), range(40)))
    assert (outcomes.count("closed"), outcomes.count("ok"), faulty.counts()["lost"]) == (7, 33, 7)


def test_a_kept_alive_connection_ends_without_a_byte(faulty: Faulty) -> None:
    def list_models() -> None:
        connection.request("POST", "/", "{}", {"X-Amz-Target": "SageMaker.ListModels"})

    connection = http.client.HTTPConnection("127.0.0.1", faulty.server.port, timeout=30)
    logged = len(faulty.server.log.read_text())
    list_models()
    assert connection.getresponse().read()
    socket = connection.sock
    faulty.switch(drop_percent=100)
    list_models()
    assert connection.sock is socket  # the same connection: it was kept alive
    assert socket.recv(1) == b""
    connection.close()
    assert "Traceback" not in faulty.server.log.read_text()[logged:]


def test_other_services_and_the_control_api_have_no_faults(faulty: Faulty) -> None:
    faulty.switch(drop_percent=100)
    faulty.server.client("s3").put_object(Bucket=faulty.server.bucket, Key="faults/object", Body=b"x")
    assert faulty.server.client("sts").get_caller_identity()["Account"]
    assert faulty.server.health()["status"] == "ok"
    assert faulty.counts()["calls"] == 0


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "the body is not JSON"),
        ("[]", "the body must be a JSON object"),
        ('{"throttle": 1}', "unknown switch throttle; known are seed, throttle_percent,"),
        ('{"counts": {}}', "unknown switch counts"),
        ('{"seed": 1.5}', "seed is 1.5; it must be a whole number"),
        ('{"seed": null}', "seed is None"),
        ('{"throttle_percent": 101}', "throttle_percent is 101; it must be a number from 0 to 100"),
        ('{"error_percent": -1}', "error_percent is -1;"),
        ('{"drop_percent": "5"}', "drop_percent is '5';"),
        ('{"drop_percent": true}', "drop_percent is True;"),
        ('{"drop_percent": NaN}', "drop_percent is nan;"),
        ('{"throttle_percent": 60, "drop_percent": 41}', "add up to more than 100"),
        ('{"lose_answer": {}}', "lose_answer is {}; it must be a list"),
        ('{"lose_answer": ["CreateModel"]}', "lose_answer[0] is 'CreateModel'; it must be like {"),
        ('{"lose_answer": [{"times": 1}]}', "lose_answer[0] is {'times': 1}; it must be like {"),
        ('{"lose_answer": [{"operation": "CreateModel", "after": 1}]}', "lose_answer[0] is {"),
        ('{"lose_answer": [{"operation": "MakeCoffee"}]}', "lose_answer[0].operation is 'MakeCoffee'; it must be"),
        ('{"lose_answer": [{"operation": ["CreateModel"]}]}', "lose_answer[0].operation is ['CreateModel'];"),
        ('{"lose_answer": [{"operation": "CreateModel", "times": 0}]}', "lose_answer[0].times is 0;"),
        (
            '{"lose_answer": [{"operation": "CreateModel"}, {"operation": "CreateModel"}]}',
            "lose_answer names CreateModel more than once",
        ),
    ],
)
def test_wrong_switches_are_refused_and_change_nothing(faulty: Faulty, body: str, complaint: str) -> None:
    faulty.switch(seed=5)
    status, answer = faulty.request("PUT", body)
    assert status == 400
    assert complaint in answer["error"]
    assert faulty.request()[1]["seed"] == 5


def test_other_methods_are_refused(faulty: Faulty) -> None:
    expected = {"error": "DELETE is not possible for /_local/faults; use GET or PUT"}
    assert faulty.request("DELETE") == (405, expected)


def groups(faulty: Faulty, prefix: str) -> list[str]:
    """The model package groups whose names begin so, oldest first."""
    found = faulty.sagemaker.list_model_package_groups(NameContains=prefix, SortOrder="Ascending")
    return [group["ModelPackageGroupName"] for group in found["ModelPackageGroupSummaryList"]]
