"""The triggers against the local SageMaker: they end when the thing ends, and at the deadline."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import ClientError

from sagemaker_retraining.triggers.approval import ApprovalTrigger
from sagemaker_retraining.triggers.base import PollTrigger, is_transient
from sagemaker_retraining.triggers.job import JobTrigger
from sagemaker_retraining.triggers.s3_object import S3ObjectTrigger
from tests.conftest import LocalSageMaker

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
VERSION: dict[str, Any] = {"model_package_arn": "arn:x", "group": "x", "number": 1, "period": "2013-11"}


@pytest.fixture
def common(sagemaker_local: LocalSageMaker, aws_connection: None) -> dict[str, Any]:
    hook = {"aws_conn_id": "aws_default", "region_name": "us-east-1", "verify": None, "config": None}
    return {"poll_seconds": 0.1, "since": time.time(), "deadline": time.time() + 60, "hook_parameters": hook}


def first_event(trigger: PollTrigger) -> Any:
    async def run() -> TriggerEvent:
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(run()).payload


def test_an_object_that_is_there(sagemaker_local: LocalSageMaker, common: dict[str, Any]) -> None:
    sagemaker_local.client("s3").put_object(Bucket=sagemaker_local.bucket, Key="trigger/_SUCCESS", Body=b"")
    trigger = S3ObjectTrigger(bucket=sagemaker_local.bucket, key="trigger/_SUCCESS", **common)
    assert first_event(trigger) == {"status": "found"}


def test_waits_leave_nothing_open_behind(
    sagemaker_local: LocalSageMaker, common: dict[str, Any], recwarn: pytest.WarningsRecorder
) -> None:
    """Of many that share a client some are cancelled, and some end with an error."""
    complaints: list[dict[str, Any]] = []
    group = "arn:aws:sagemaker:us-east-1:123456789012:model-package/nobody/1"

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        waits = [S3ObjectTrigger(bucket=sagemaker_local.bucket, key="never", **common) for _ in range(10)]
        wrong = [
            ApprovalTrigger(**{**VERSION, "model_package_arn": group, "group": "nobody"}, **common) for _ in range(10)
        ]
        tasks = [asyncio.create_task(anext(aiter(trigger.run()))) for trigger in (*waits, *wrong)]
        await asyncio.wait(tasks[len(waits) :])
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(isinstance(task.exception(), ClientError) for task in tasks[len(waits) :])

    asyncio.run(run())
    gc.collect()
    assert complaints == []
    assert [str(warning.message) for warning in recwarn if "nclosed" in str(warning.message)] == []


def test_the_deadline_is_a_time_not_a_count(sagemaker_local: LocalSageMaker, common: dict[str, Any]) -> None:
    common["deadline"] = time.time() - 1
    assert first_event(S3ObjectTrigger(bucket=sagemaker_local.bucket, key="never", **common)) == {"status": "timeout"}


def test_a_serialized_trigger_is_the_same_trigger(common: dict[str, Any]) -> None:
    trigger = ApprovalTrigger(**VERSION, replace_newer=True, **common)
    path, arguments = trigger.serialize()
    assert path == "sagemaker_retraining.triggers.approval.ApprovalTrigger"
    assert ApprovalTrigger(**arguments).serialize() == (path, arguments)


def test_a_version_that_does_not_exist_ends_the_wait(common: dict[str, Any]) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/nobody/1"
    with pytest.raises(ClientError, match="does not exist"):
        first_event(ApprovalTrigger(**{**VERSION, "model_package_arn": arn, "group": "nobody"}, **common))


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ThrottlingException", 400, True),
        ("ExpiredTokenException", 400, True),
        ("InternalFailure", 500, True),
        ("Anything", 503, True),
        ("ValidationException", 400, False),
        ("AccessDeniedException", 403, False),
    ],
)
@pytest.mark.aws_fact("training-throttled")
def test_what_passes_by_itself(code: str, status: int, expected: bool) -> None:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert is_transient(ClientError(answer, "DescribeTrainingJob")) is expected


def test_network_errors_pass_by_themselves() -> None:
    assert is_transient(ConnectionResetError())
    assert not is_transient(KeyError("x"))


@pytest.mark.parametrize(
    ("waited", "shortest", "longest"), [(0, 30, 33), (100, 30, 33), (1000, 100, 110), (1e6, 300, 330)]
)
def test_the_longer_it_takes_the_calmer_the_look(
    common: dict[str, Any], waited: float, shortest: float, longest: float
) -> None:
    times = {"poll_seconds": 30, "since": time.time() - waited, "deadline": time.time() + 1e7}
    trigger = S3ObjectTrigger(bucket="b", key="k", **{**common, **times})
    assert all(shortest <= trigger.pause() <= longest + 0.1 for _ in range(50))


def test_the_last_look_is_not_long_after_the_deadline(common: dict[str, Any]) -> None:
    times = {"poll_seconds": 1, "since": time.time() - 1e6, "deadline": time.time() + 7}
    assert S3ObjectTrigger(bucket="b", key="k", **{**common, **times}).pause() <= 7


class Waiting:
    """A job that a deferred task waits for, and its trigger as a triggerer has it."""

    def __init__(self, server: LocalSageMaker, common: dict[str, Any], name: str) -> None:
        self.name, self.client = name, server.client("sagemaker")
        self.client.create_processing_job(
            ProcessingJobName=name,
            AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["sleep", "600"]},
            ProcessingResources={
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            RoleArn=server.role_arn,
        )
        self.trigger = JobTrigger(kind="Processing", name=name, **common)

    def is_stopped(self) -> bool:
        status = self.client.describe_processing_job(ProcessingJobName=self.name)["ProcessingJobStatus"]
        return status in {"Stopping", "Stopped"}


@pytest.fixture
def waiting(
    sagemaker_local: LocalSageMaker, common: dict[str, Any], request: pytest.FixtureRequest
) -> Iterator[Waiting]:
    job = Waiting(sagemaker_local, common, f"waiting-{abs(hash(request.node.name)) % 10**9}")
    job.trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)  # type: ignore[assignment]
    yield job
    with contextlib.suppress(ClientError):
        job.client.stop_processing_job(ProcessingJobName=job.name)


def answer(monkeypatch: pytest.MonkeyPatch, states: dict[str, Any], seconds: float = 0) -> None:
    """What the triggerer's supervisor says when it is asked for the task's state, and how long it takes."""

    def get_task_states(**_: Any) -> dict[str, Any]:
        time.sleep(seconds)
        return states

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))


@pytest.mark.parametrize(
    ("states", "map_index", "stopped"),
    [
        ({"r": {"t": "deferred"}}, -1, False),  # only this triggerer has lost the trigger
        ({"r": {"t": "up_for_retry"}}, -1, False),  # the next try attaches
        ({"r": {"t": "failed"}}, -1, True),
        ({"r": {"t": "success"}}, -1, True),
        ({"r": {"t": None}}, -1, True),  # cleared
        ({"r": {"t": "queued"}}, -1, True),  # cleared, and soon begun again
        ({}, -1, True),  # deleted with its run
        ({"r": {"t_3": "deferred", "t_2": "failed"}}, 3, False),
        ({"r": {"t_3": "deferred", "t_2": "failed"}}, 2, True),
    ],
)
def test_only_a_person_stops_the_job(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch, states: dict[str, Any], map_index: int, stopped: bool
) -> None:
    waiting.trigger.task_instance.map_index = map_index  # type: ignore[union-attr]
    answer(monkeypatch, states)
    asyncio.run(waiting.trigger.on_kill())
    assert waiting.is_stopped() is stopped


def test_in_doubt_the_job_goes_on(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: Any) -> None:
        raise ConnectionError("the supervisor does not answer")

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(unreachable))
    asyncio.run(waiting.trigger.on_kill())
    assert not waiting.is_stopped()


def test_a_cancellation_that_is_repeated_does_not_keep_the_stop_from_being_sent(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's triggerer cancels again on each round, until on_kill has ended."""
    answer(monkeypatch, {"r": {"t": "failed"}}, seconds=0.5)

    async def kill() -> None:
        task = asyncio.create_task(waiting.trigger.on_kill())
        while not task.done():
            await asyncio.sleep(0.1)
            task.cancel()
        deadline = time.monotonic() + 30
        while not await asyncio.to_thread(waiting.is_stopped):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)

    asyncio.run(kill())


def test_a_job_that_has_ended_is_nothing_to_stop(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, {"r": {"t": "failed"}})
    waiting.client.stop_processing_job(ProcessingJobName=waiting.name)
    assert first_event(waiting.trigger)["status"] == "ended"
    asyncio.run(waiting.trigger.on_kill())
