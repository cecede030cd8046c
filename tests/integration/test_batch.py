"""`kind: batch` for real: a month's predictions, by an approved version only, once however often the task is tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.operators.transform import ResumableTransformOperator
from sagemaker_retraining.outcomes import JobClientError
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit
from tests.kits.job_kit import archive
from tests.kits.serving_kit import Serving, finished, short_name
from tests.kits.transform_kit import INFERENCE

pytestmark = pytest.mark.usefixtures("as_dag_role")
SUMS = archive({"code/inference.py": INFERENCE})


class Batch(Serving):
    """Versions of a model that adds the numbers of a row, and the task that scores a month with one of them."""

    def batch_plan(self, period: str, more: str = "") -> dict[str, Any]:
        """The plan's `transform`; a period belongs to one test, for all share the model's predictions."""
        where = f'input_uri: "s3://{self.server.bucket}/batch/{self.name}/{{period}}/"'
        plan: dict[str, Any] = self.plan(f"kind: batch, batch: {{{where}{more}}}", period=period)["transform"]
        return plan

    def put(self, period: str, files: dict[str, str]) -> None:
        """What is to be scored."""
        for name, content in files.items():
            key = f"batch/{self.name}/{period}/{name}"
            self.s3.put_object(Bucket=self.server.bucket, Key=key, Body=content.encode())

    def score(self, arn: str, plan: dict[str, Any], **options: Any) -> dict[str, Any]:
        """The task, as one of its tries runs it."""
        operator = ResumableTransformOperator(
            task_id="transform", config=plan, model_package_arn=arn, poll_seconds=0.1, **options
        )
        result: dict[str, Any] = finished(operator, self.context())
        return result

    def predictions(self, period: str) -> dict[str, str]:
        """Name to content of a month's predictions."""
        prefix = f"demo_model/predictions/period={period}/"
        found = Kit(self.server).objects(prefix)
        return {key.removeprefix(prefix): content.decode() for key, content in found.items()}

    def made(self) -> tuple[set[str], set[str]]:
        """The names of all models and all transform jobs."""
        models = self.sagemaker.get_paginator("list_models").paginate()
        jobs = self.sagemaker.get_paginator("list_transform_jobs").paginate()
        return (
            {model["ModelName"] for page in models for model in page["Models"]},
            {job["TransformJobName"] for page in jobs for job in page["TransformJobSummaries"]},
        )


@pytest.fixture
def batch(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Batch:
    return Batch(sagemaker_local, tmp_path, short_name(request.node.name))


def test_a_month_is_scored_once_and_names_its_version(batch: Batch) -> None:
    month = "2014-05"
    batch.put(month, {"a.csv": "1,2\n3,4\n", "more/b.csv": "10,20\n"})
    batch.put("2014-06", {"later.csv": "9\n"})
    first, plan = batch.version(1, archive=SUMS), batch.batch_plan(month)
    result = batch.score(first, plan)
    found = batch.predictions(month)
    mark = json.loads(found.pop("_SUCCESS"))
    assert {name: content.split() for name, content in found.items()} == {
        "a.csv.out": ["3.0", "7.0"],
        "more/b.csv.out": ["30.0"],
    }
    assert mark == {"version": first, "job": result["name"], "ended_at": result["ended_at"]}
    assert result["output"] == f"s3://{batch.server.bucket}/demo_model/predictions/period={month}/"
    before = batch.made()
    batch.store.clear()  # the worker died before it could record the result
    assert batch.score(first, plan, deferrable=False) == result
    assert batch.made() == before, "the retry went on with the job that had ended"
    # The next version scores the month again: a job of its own, in the same place.
    batch.store.clear()
    second = batch.version(2, archive=SUMS)
    again = batch.score(second, plan)
    assert again["name"] == f"{result['name']}-g1"
    assert json.loads(batch.predictions(month)["_SUCCESS"])["version"] == second


def test_a_month_that_is_scored_again_is_not_marked_while_it_is_overwritten(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = "2014-11"
    batch.put(month, {"a.csv": "1,2\n"})
    arn, plan = batch.version(1, archive=SUMS), batch.batch_plan(month)
    batch.score(arn, plan)
    mark = batch.predictions(month)["_SUCCESS"]
    while_it_runs: list[bool] = []
    follow = ResumableTransformOperator.follow

    async def look(self: ResumableTransformOperator, trigger: Any) -> dict[str, Any]:
        while_it_runs.append("_SUCCESS" in batch.predictions(month))
        return await follow(self, trigger)

    monkeypatch.setattr(ResumableTransformOperator, "follow", look)
    batch.max_tries += 1  # what clearing the task does
    again = batch.score(arn, plan, deferrable=False)
    assert again["name"].endswith("-g1")
    assert while_it_runs == [False]
    assert json.loads(batch.predictions(month)["_SUCCESS"])["job"] == again["name"] != json.loads(mark)["job"]


def test_a_month_whose_job_is_refused_stays_marked(batch: Batch) -> None:
    month = "2014-12"
    batch.put(month, {"a.csv": "1,2\n"})
    arn, plan = batch.version(1, archive=SUMS), batch.batch_plan(month)
    batch.score(arn, plan)
    mark = batch.predictions(month)["_SUCCESS"]
    operator = ResumableTransformOperator(task_id="transform", config=plan, model_package_arn=arn)
    with pytest.raises(JobClientError):
        operator.create({**operator.request(), "ModelName": "nobody", "TransformJobName": "refused"})
    assert batch.predictions(month)["_SUCCESS"] == mark


def test_a_mark_that_cannot_be_written_costs_no_second_job(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    month = "2015-01"
    batch.put(month, {"a.csv": "1,2\n"})
    arn, plan = batch.version(1, archive=SUMS), batch.batch_plan(month)

    def fail(*_: Any) -> None:
        raise ConnectionError("S3 is away")

    with monkeypatch.context() as away, pytest.raises(ConnectionError):
        away.setattr(ResumableTransformOperator, "mark", fail)
        batch.score(arn, plan)
    before = batch.made()
    result = batch.score(arn, plan)
    assert batch.made() == before
    assert json.loads(batch.predictions(month)["_SUCCESS"])["job"] == result["name"]


def test_a_version_that_is_not_approved_scores_nothing(batch: Batch) -> None:
    month = "2014-07"
    batch.put(month, {"a.csv": "1,2\n"})
    arn, plan = batch.version(1, archive=SUMS, approved=False), batch.batch_plan(month)
    before = batch.made()
    with pytest.raises(AirflowFailException, match="only an Approved version goes to production"):
        batch.score(arn, plan)
    with pytest.raises(AirflowFailException, match=r"there is no version .*/9 in the registry"):
        batch.score(arn.replace("/1", "/9"), plan)
    assert (batch.made(), batch.predictions(month)) == (before, {})


@pytest.mark.parametrize(
    ("month", "more", "reason"),
    [
        ("2014-08", ", content_type: application/x-image", "I do not read application/x-image"),
        ("2014-09", ", max_payload_mb: 1", "Too much data for max payload size"),
    ],
    ids=["type", "payload"],
)
def test_what_the_model_cannot_take_fails_the_task(
    batch: Batch, capsys: pytest.CaptureFixture[str], month: str, more: str, reason: str
) -> None:
    batch.put(month, {"a.bin": "1" * 1_100_000})
    arn, plan = batch.version(1, archive=SUMS), batch.batch_plan(month, more)
    with pytest.raises(JobClientError, match="ClientError: See job logs"):
        batch.score(arn, plan)
    assert reason in capsys.readouterr().out, "the job's log is in the task's"
    assert batch.predictions(month) == {}, "no _SUCCESS, no predictions"
