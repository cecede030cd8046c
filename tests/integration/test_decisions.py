"""Decisions in the local SageMaker's registry: one winner, whoever asks; and one listing for all who wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from sagemaker_retraining import registry
from sagemaker_retraining.requests.approval import AIRFLOW, CLI, decision_of, status_changes
from sagemaker_retraining.triggers.approval import ApprovalTrigger
from tests.conftest import LocalSageMaker
from tests.kits.model_package_kit import inference_specification

WAITING = 40


class Group:
    """Versions of a group of one test."""

    def __init__(self, server: LocalSageMaker, name: str) -> None:
        self.server = server
        self.name = name
        self.api = server.client("sagemaker")
        self.api.create_model_package_group(ModelPackageGroupName=name)

    def add(self, period: str = "2013-11") -> str:
        """A pending version; its ARN."""
        arn: str = self.api.create_model_package(
            ModelPackageGroupName=self.name,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification=inference_specification(self.server),
            CustomerMetadataProperties={"period": period, "environment": "local"},
        )["ModelPackageArn"]
        return arn

    def calls(self, operation: str) -> int:
        """How often the server has answered an operation."""
        faults = httpx.get(f"{self.server.url}/_local/faults", trust_env=False).json()
        count: int = faults["counts"]["by_operation"].get(operation, 0)
        return count


@pytest.fixture
def group(sagemaker_local: LocalSageMaker, request: pytest.FixtureRequest) -> Group:
    return Group(sagemaker_local, request.node.name.replace("test_", "").replace("_", "-")[:50].strip("-"))


@pytest.fixture
def conflicts(sagemaker_local: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes the next so many UpdateModelPackage conflict with somebody else's."""
    monkeypatch.setattr(registry, "CONFLICT_PAUSE_SECONDS", 0)

    def put(times: int) -> None:
        rules = [{"operation": "UpdateModelPackage", "times": times}] if times else []
        httpx.put(f"{sagemaker_local.url}/_local/faults", json={"conflict": rules}, trust_env=False).raise_for_status()

    yield put
    put(0)


@pytest.mark.aws_fact("registry-conflict")
def test_a_decision_that_meets_a_conflict_is_made_again(group: Group, conflicts: Callable[[int], None]) -> None:
    arn = group.add()
    conflicts(2)
    decision, mine = registry.decide_version(
        group.api, arn, "Approved", by="jane", channel=CLI, reason="good", settle_seconds=0
    )
    assert (decision.status, mine) == ("Approved", True)


@pytest.mark.aws_fact("registry-conflict")
def test_a_conflict_with_somebodys_decision_leaves_theirs(
    group: Group, conflicts: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = group.add()
    conflicts(1)
    theirs = {"ModelPackageArn": arn, "ModelApprovalStatus": "Rejected"}
    monkeypatch.setattr(registry.time, "sleep", lambda _: group.api.update_model_package(**theirs))
    decision, mine = registry.decide_version(
        group.api, arn, "Approved", by="jane", channel=CLI, reason="good", settle_seconds=0
    )
    assert (decision.status, mine) == ("Rejected", False)


@pytest.mark.aws_fact("registry-conflict")
def test_a_conflict_that_does_not_end_is_an_error(group: Group, conflicts: Callable[[int], None]) -> None:
    arn = group.add()
    conflicts(registry.CONFLICT_TRIES)
    with pytest.raises(ClientError, match="ConflictException"):
        registry.decide_version(group.api, arn, "Approved", by="jane", channel=CLI, reason="good", settle_seconds=0)
    assert registry.describe_version(group.api, arn)["ModelApprovalStatus"] == "PendingManualApproval"


@pytest.mark.aws_fact("registry-conflict")
def test_a_decision_of_studio_is_recorded_in_spite_of_a_conflict(
    group: Group, conflicts: Callable[[int], None]
) -> None:
    arn = group.add()
    group.api.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    conflicts(1)
    registry.record_decision(group.api, registry.describe_version(group.api, arn))
    assert status_changes(registry.describe_version(group.api, arn))


def test_a_decision_is_in_the_registry(group: Group) -> None:
    arn = group.add()
    decision, mine = registry.decide_version(
        group.api, arn, "Approved", by="jane", channel=CLI, reason="better", settle_seconds=0
    )
    assert mine
    assert (decision.status, decision.by, decision.channel, decision.reason) == ("Approved", "jane", "cli", "better")
    package = registry.describe_version(group.api, arn)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ModelLifeCycle"] == {"Stage": "local", "StageStatus": "Approved", "StageDescription": "better"}
    assert package["CustomerMetadataProperties"]["period"] == "2013-11"


def test_the_second_is_told_who_was_first(group: Group) -> None:
    arn = group.add()
    registry.decide_version(group.api, arn, "Approved", by="jane", channel=CLI, reason="better", settle_seconds=0)
    before = registry.describe_version(group.api, arn)
    decision, mine = registry.decide_version(
        group.api, arn, "Rejected", by="joe", channel=AIRFLOW, reason="no", settle_seconds=0
    )
    assert not mine
    assert (decision.status, decision.by) == ("Approved", "jane")
    after = registry.describe_version(group.api, arn)
    assert after["LastModifiedTime"] == before["LastModifiedTime"]


@pytest.mark.parametrize("number", range(4))
def test_of_two_at_once_one_wins_and_both_know(sagemaker_local: LocalSageMaker, number: int) -> None:
    group = Group(sagemaker_local, f"two-at-once-{number}")
    arn = group.add()
    apis = [sagemaker_local.client("sagemaker") for _ in range(2)]

    def decide(index: int) -> tuple[Any, bool]:
        status, by = (("Approved", "jane"), ("Rejected", "joe"))[index]
        return registry.decide_version(apis[index], arn, status, by=by, channel=CLI, reason="mine")

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(decide, range(2)))
    assert sorted(mine for _, mine in results) == [False, True]
    stands = decision_of(registry.describe_version(group.api, arn))
    assert [decision for decision, _ in results] == [stands, stands]
    [line] = status_changes(registry.describe_version(group.api, arn))
    assert (line.by, line.to_status) == (stands.by, stands.status)


def test_a_wrong_decision_changes_nothing(group: Group) -> None:
    arn = group.add()
    with pytest.raises(ValueError, match="needs a reason"):
        registry.decide_version(group.api, arn, "Rejected", by="jane", channel=CLI, reason="", settle_seconds=0)
    with pytest.raises(ClientError, match="does not exist"):
        registry.decide_version(group.api, f"{arn}9", "Approved", by="jane", channel=CLI, reason="", settle_seconds=0)
    assert registry.describe_version(group.api, arn)["ModelApprovalStatus"] == "PendingManualApproval"
    assert "LastModifiedTime" not in registry.describe_version(group.api, arn)


def test_versions_of_a_group(group: Group) -> None:
    arns = [group.add(period) for period in ("2013-10", "2013-11", "2013-12")]
    assert [found["ModelPackageArn"] for found in registry.versions(group.api, group.name)] == arns[::-1]
    assert list(registry.versions(group.api, group.name, "Approved")) == []
    assert list(registry.versions(group.api, "there-is-no-such-group")) == []
    assert registry.find_version(group.api, group.name, 2)["ModelPackageArn"] == arns[1]
    with pytest.raises(ValueError, match=rf"{group.name}/7 does not exist: its versions are 1, 2, 3"):
        registry.find_version(group.api, group.name, 7)
    with pytest.raises(ValueError, match="nobody/1 does not exist: there is no version of it"):
        registry.find_version(group.api, "nobody", 1)


def test_a_version_has_a_page(group: Group) -> None:
    """Where the review's link leads; what people write does not become part of the page."""
    arn = group.add()
    registry.decide_version(
        group.api, arn, "Rejected", by="jane", channel=CLI, reason="<script>no</script>", settle_seconds=0
    )
    answer = httpx.get(f"{group.server.url}/_local/models/{group.name}/1", trust_env=False)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for shown in (arn, "Rejected", "2013-11", "decided_by", "&lt;script&gt;no&lt;/script&gt;"):
        assert shown in answer.text
    assert "<script>" not in answer.text
    assert f"{group.name}/1" in httpx.get(f"{group.server.url}/_local/models", trust_env=False).text
    missing = httpx.get(f"{group.server.url}/_local/models/{group.name}/2", trust_env=False)
    assert (missing.status_code, "does not exist" in missing.text) == (404, True)


def test_a_report_opens_in_a_browser(sagemaker_local: LocalSageMaker) -> None:
    """Where the review's other link leads: S3 itself wants a signature."""
    body = "<h1>Bericht für März</h1>".encode()
    sagemaker_local.client("s3").put_object(Bucket=sagemaker_local.bucket, Key="a b/report.html", Body=body)
    address = f"{sagemaker_local.url}/_local/objects/{sagemaker_local.bucket}"
    answer = httpx.get(f"{address}/a%20b/report.html", trust_env=False)
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert httpx.get(f"{address}/nothing", trust_env=False).status_code == 404
    assert httpx.get(f"{sagemaker_local.url}/_local/objects/", trust_env=False).status_code == 404


async def first_payload(trigger: ApprovalTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


@pytest.mark.usefixtures("aws_connection")
def test_many_that_wait_cost_one_listing(group: Group) -> None:
    """Each period is listed once, not once for each version; a newly approved version is described once."""
    arns = [group.add() for _ in range(WAITING)]
    hook = {"aws_conn_id": "aws_default", "region_name": "us-east-1", "verify": None, "config": None}
    common = {"poll_seconds": 1.0, "since": time.time(), "deadline": time.time() + 60, "hook_parameters": hook}
    triggers = [
        ApprovalTrigger(model_package_arn=arn, group=group.name, number=number, period="2013-11", **common)
        for number, arn in enumerate(arns, 1)
    ]

    async def wait() -> tuple[list[Any], float]:
        started = time.monotonic()
        tasks = [asyncio.create_task(first_payload(trigger)) for trigger in triggers]
        while group.calls("ListModelPackages") < listed + 3:
            await asyncio.sleep(0.1)
        await asyncio.to_thread(
            registry.decide_version,
            group.api,
            arns[-1],
            "Approved",
            by="jane",
            channel=CLI,
            reason="",
            settle_seconds=0,
        )
        return await asyncio.gather(*tasks), time.monotonic() - started

    listed, described = group.calls("ListModelPackages"), group.calls("DescribeModelPackage")
    payloads, seconds = asyncio.run(wait())
    assert payloads == [{"status": "superseded"}] * (WAITING - 1) + [{"status": "Approved"}]
    assert group.calls("ListModelPackages") - listed <= seconds + 1
    assert group.calls("DescribeModelPackage") - described == 1 + 2  # the trigger's, and two of decide


@pytest.mark.usefixtures("aws_connection")
def test_a_listing_that_fails_fails_once_for_all(group: Group) -> None:
    arns = [group.add() for _ in range(10)]
    hook = {"aws_conn_id": "aws_default", "region_name": "us-east-1", "verify": None, "config": None}
    common = {"poll_seconds": 1.0, "since": time.time(), "deadline": time.time() + 60, "hook_parameters": hook}
    triggers = [
        ApprovalTrigger(model_package_arn=arn, group=f"{group.name}-gone", number=1, period=None, **common)
        for arn in arns
    ]

    async def wait() -> list[Any]:
        return await asyncio.gather(*map(first_payload, triggers), return_exceptions=True)

    listed = group.calls("ListModelPackages")
    errors = asyncio.run(wait())
    assert all(isinstance(error, ClientError) for error in errors)
    assert group.calls("ListModelPackages") - listed <= 2
