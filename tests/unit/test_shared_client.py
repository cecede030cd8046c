"""The one client of all triggers: who makes it, who closes it, and when a new one is made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_retraining.triggers.base import PollTrigger

WAITS = 20


class Client:
    """Answers `answer(client)`; knows whether it was closed while still asked."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.open = False

    async def __aenter__(self) -> Client:
        await asyncio.sleep(0.01)
        self.open = True
        self.cloud.clients.append(self)
        return self

    async def __aexit__(self, *problem: object) -> None:
        await asyncio.sleep(0)
        self.open = False


class Cloud:
    """All clients ever made, and what they are answered: None goes on waiting."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.answer: Callable[[Client], str | None] = lambda client: None
        self.polls = 0

    async def get_async_conn(self) -> Client:
        """As a hook has it."""
        return Client(self)


class Wait(PollTrigger):
    """A trigger of that cloud."""

    cloud: Cloud

    def hook(self) -> Any:
        """The cloud is its own hook."""
        return self.cloud

    async def poll(self, client: Client) -> dict[str, Any] | None:
        """One question."""
        assert client.open
        self.cloud.polls += 1
        code = self.cloud.answer(client)
        if code in (None, "done"):
            return {"status": code} if code else None
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "Describe")  # type: ignore[typeddict-item]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def wait(cloud: Cloud, name: str = "aws_default") -> Wait:
    """A trigger that asks every few milliseconds."""
    hook = {"aws_conn_id": name, "region_name": "us-east-1"}
    trigger = Wait(poll_seconds=0.005, since=time.time(), deadline=time.time() + 60, hook_parameters=hook)
    trigger.cloud = cloud
    return trigger


async def end(trigger: Wait) -> Any:
    """The trigger's event; with what words it was cancelled, which Airflow reads."""
    try:
        return [event.payload async for event in trigger.run()]
    except asyncio.CancelledError as error:
        return error.args


def together(cloud: Cloud, body: Callable[[list[asyncio.Task[Any]]], Awaitable[None]]) -> list[Any]:
    """Start many waits, do something when all have asked; how each ended."""

    async def run() -> list[Any]:
        tasks = [asyncio.create_task(end(wait(cloud))) for _ in range(WAITS)]
        await polled(cloud, 2 * WAITS)
        await body(tasks)
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(asyncio.wait_for(run(), 30))


async def polled(cloud: Cloud, times: int) -> None:
    """Until the clients were asked so many times more."""
    wanted = cloud.polls + times
    while cloud.polls < wanted:
        await asyncio.sleep(0.005)


async def finish(cloud: Cloud) -> None:
    """What all wait for is there."""
    cloud.answer = lambda client: "done"


def test_all_share_one_client_and_the_last_closes_it(cloud: Cloud) -> None:
    assert together(cloud, lambda tasks: finish(cloud)) == [[{"status": "done"}]] * WAITS
    assert [client.open for client in cloud.clients] == [False]


def test_expired_credentials_make_one_new_client_for_all(cloud: Cloud) -> None:
    async def expire(tasks: list[asyncio.Task[Any]]) -> None:
        first = cloud.clients[0]
        cloud.answer = lambda client: "ExpiredToken" if client is first else None
        while first.open:
            await asyncio.sleep(0.005)
        await polled(cloud, WAITS)
        await finish(cloud)

    assert together(cloud, expire) == [[{"status": "done"}]] * WAITS
    assert [client.open for client in cloud.clients] == [False, False]


def test_a_busy_service_is_asked_with_the_same_client(cloud: Cloud) -> None:
    async def throttle(tasks: list[asyncio.Task[Any]]) -> None:
        lucky = tasks[0]
        cloud.answer = lambda client: None if asyncio.current_task() is lucky else "ThrottlingException"
        await polled(cloud, 3 * WAITS)
        assert len(cloud.clients) == 1
        await finish(cloud)

    assert together(cloud, throttle) == [[{"status": "done"}]] * WAITS


def test_a_cancelled_wait_leaves_the_client_to_the_others(cloud: Cloud) -> None:
    async def cancel(tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks[1:]:
            task.cancel("user")
        await polled(cloud, 5)
        assert cloud.clients[0].open
        await finish(cloud)

    ends = together(cloud, cancel)
    assert ends[0] == [{"status": "done"}]
    assert ends[1:] == [("user",)] * (WAITS - 1)
    assert [client.open for client in cloud.clients] == [False]


def test_when_all_are_cancelled_the_client_is_closed(cloud: Cloud) -> None:
    async def shut_down(tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()

    together(cloud, shut_down)
    assert [client.open for client in cloud.clients] == [False]


def test_whoever_is_cancelled_while_making_it_does_not_take_it_along(cloud: Cloud) -> None:
    async def run() -> Any:
        first, second = (asyncio.create_task(end(wait(cloud))) for _ in range(2))
        await asyncio.sleep(0.002)  # the first makes the client, the second waits for it
        first.cancel()
        await finish(cloud)
        return await second

    assert asyncio.run(run()) == [{"status": "done"}]


def test_other_connections_and_other_loops_have_clients_of_their_own(cloud: Cloud) -> None:
    cloud.answer = lambda client: "done"

    async def both() -> None:
        await asyncio.gather(end(wait(cloud, "one")), end(wait(cloud, "two")))

    asyncio.run(both())
    asyncio.run(both())
    assert [client.open for client in cloud.clients] == [False] * 4


def test_a_final_error_ends_its_own_wait_only(cloud: Cloud) -> None:
    async def refuse_once(tasks: list[asyncio.Task[Any]]) -> None:
        answers = iter(["AccessDeniedException"])
        cloud.answer = lambda client: next(answers, "done")

    ends = together(cloud, refuse_once)
    assert sum(isinstance(found, ClientError) for found in ends) == 1
    assert ends.count([{"status": "done"}]) == WAITS - 1
    assert not any(client.open for client in cloud.clients)
