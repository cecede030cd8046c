"""The raw data sensor: which objects a run reads, and what it says when they are not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sagemaker_retraining.period import Period
from sagemaker_retraining.raw_months import History
from sagemaker_retraining.sensors.raw_data import RawDataSensor
from tests.conftest import LocalSageMaker

pytestmark = pytest.mark.usefixtures("aws_connection")


@pytest.fixture
def raw(sagemaker_local: LocalSageMaker, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Three complete months and one that is still being written."""
    prefix = f"raw-data/{request.node.name}/"
    s3 = sagemaker_local.client("s3")
    for name in (
        "period=2013-01/a.csv",
        "period=2013-01/_SUCCESS",
        "period=2013-02/a.csv",
        "period=2013-02/b.csv",
        "period=2013-02/_SUCCESS",
        "period=2013-03/a.csv",
        "period=2013-03/_SUCCESS",
        "period=2013-04/half.csv",
    ):
        s3.put_object(Bucket=sagemaker_local.bucket, Key=prefix + name, Body=name.encode())
    return {
        "bucket": sagemaker_local.bucket,
        "raw_prefix": prefix,
        "period": "2013-03",
        "history_months": None,
        "manifest_uri": f"s3://{sagemaker_local.bucket}/{prefix}raw.manifest",
    }


def sensor(raw: dict[str, Any], **kwargs: Any) -> RawDataSensor:
    config = {**raw, "success_key": f"{raw['raw_prefix']}period={raw['period']}/_SUCCESS"}
    return RawDataSensor(task_id="data_ready", config=config, **{"poll_seconds": 0.1, "timeout_seconds": 60, **kwargs})


def manifest(server: LocalSageMaker, uri: str) -> Any:
    key = uri.removeprefix(f"s3://{server.bucket}/")
    return json.loads(server.client("s3").get_object(Bucket=server.bucket, Key=key)["Body"].read())


@pytest.mark.usefixtures("as_dag_role")
def test_the_manifest_names_the_history_and_the_month(sagemaker_local: LocalSageMaker, raw: dict[str, Any]) -> None:
    result = sensor(raw).execute({})
    assert result["months"] == ["2013-01", "2013-02", "2013-03"]
    head, *names = manifest(sagemaker_local, result["manifest_uri"])
    assert head == {"prefix": f"s3://{sagemaker_local.bucket}/{raw['raw_prefix']}"}
    assert names == ["period=2013-01/a.csv", "period=2013-02/a.csv", "period=2013-02/b.csv", "period=2013-03/a.csv"]
    assert result["objects"] == len(names)
    assert result["missing"] == []


def test_later_months_and_a_short_history_stay_out(sagemaker_local: LocalSageMaker, raw: dict[str, Any]) -> None:
    result = sensor({**raw, "period": "2013-02", "history_months": 1}).execute({})
    assert result["months"] == ["2013-01", "2013-02"]


def test_the_fingerprint_follows_the_data(sagemaker_local: LocalSageMaker, raw: dict[str, Any]) -> None:
    first, again = (sensor(raw).execute({})["fingerprint"] for _ in range(2))
    key = f"{raw['raw_prefix']}period=2013-01/a.csv"
    sagemaker_local.client("s3").put_object(Bucket=sagemaker_local.bucket, Key=key, Body=b"corrected")
    assert first == again != sensor(raw).execute({})["fingerprint"]


def test_the_manifest_is_named_after_the_data(sagemaker_local: LocalSageMaker, raw: dict[str, Any]) -> None:
    """A run that was deleted and comes back with corrected data must not adopt the jobs of the old data."""
    first, again = (sensor(raw).execute({})["manifest_uri"] for _ in range(2))
    assert first == again
    assert first.startswith(raw["manifest_uri"].removesuffix(".manifest"))
    key = f"{raw['raw_prefix']}period=2013-01/a.csv"
    sagemaker_local.client("s3").put_object(Bucket=sagemaker_local.bucket, Key=key, Body=b"corrected")
    assert sensor(raw).execute({})["manifest_uri"] != first
    assert manifest(sagemaker_local, first), "the earlier one stays"


def test_a_month_that_is_not_complete_is_waited_for(raw: dict[str, Any]) -> None:
    with pytest.raises(TaskDeferred):
        sensor({**raw, "period": "2013-04"}).execute({})


def test_where_nobody_delivers_data_it_says_what_is_there(raw: dict[str, Any]) -> None:
    with pytest.raises(
        AirflowFailException, match=r"period=2013-04/_SUCCESS .* complete months are 2013-01 to 2013-03"
    ):
        sensor({**raw, "period": "2013-04"}, timeout_seconds=0).execute({})


def test_a_month_without_history_cannot_be_learned(raw: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="no complete month before 2013-01"):
        sensor({**raw, "period": "2013-01"}).execute({})


@pytest.mark.parametrize(
    ("complete", "period", "asked", "read", "missing"),
    [
        # The history is calendar months: years back is not "the last three".
        ("2013-11 2013-12 2018-04", "2018-05", 3, "2018-04", "2018-02 2018-03"),
        ("2013-11 2013-12", "2018-05", 3, "", "2018-02 2018-03 2018-04"),
        ("2013-11 2013-12 2018-02 2018-03 2018-04", "2018-05", 3, "2018-02 2018-03 2018-04", ""),
        # A model's first months: there is less, and nothing is missing.
        ("2018-04", "2018-05", 3, "2018-04", ""),
        ("2018-03 2018-04", "2018-05", 12, "2018-03 2018-04", ""),
        ("", "2018-05", 3, "", ""),
        # A hole, also with all months; and over the turn of a year.
        ("2018-01 2018-02 2018-04", "2018-05", 3, "2018-02 2018-04", "2018-03"),
        ("2017-12 2018-02", "2018-03", None, "2017-12 2018-02", "2018-01"),
        ("2017-11 2017-12 2018-01", "2018-01", None, "2017-11 2017-12", ""),
    ],
)
def test_the_history_is_calendar_months(complete: str, period: str, asked: int | None, read: str, missing: str) -> None:
    names = [f"period={month}/_SUCCESS" for month in complete.split()]
    names += [f"period={period}/_SUCCESS", "period=2018-03/half.csv", "period=backup/_SUCCESS"]
    found = History.of(names, Period.parse(period), asked)
    assert " ".join(map(str, found.months)) == read
    assert " ".join(map(str, found.missing)) == missing


def test_a_hole_in_the_asked_history_is_refused_with_the_way_out(
    sagemaker_local: LocalSageMaker, raw: dict[str, Any]
) -> None:
    """A month of which there are no data is said to be complete; and of all months the hole is told."""
    s3, prefix = sagemaker_local.client("s3"), raw["raw_prefix"]
    for month in ("2013-05", "2013-06"):
        s3.put_object(Bucket=sagemaker_local.bucket, Key=f"{prefix}period={month}/a.csv", Body=b"x")
        s3.put_object(Bucket=sagemaker_local.bucket, Key=f"{prefix}period={month}/_SUCCESS", Body=b"")
    june = {**raw, "period": "2013-06"}
    said = r"history_months: 2 of 2013-06 lacks 2013-04, and there are earlier months: .* period=2013-04/_SUCCESS"
    with pytest.raises(AirflowFailException, match=said):
        sensor({**june, "history_months": 2}).execute({})
    result = sensor(june).execute({})
    assert (result["months"][-3:], result["missing"]) == (["2013-03", "2013-05", "2013-06"], ["2013-04"])
    s3.delete_object(Bucket=sagemaker_local.bucket, Key=f"{prefix}period=2013-04/half.csv")
    s3.put_object(Bucket=sagemaker_local.bucket, Key=f"{prefix}period=2013-04/_SUCCESS", Body=b"")
    result = sensor({**june, "history_months": 2}).execute({})
    assert (result["months"], result["missing"]) == (["2013-04", "2013-05", "2013-06"], [])


def test_a_history_that_is_years_away_is_none(sagemaker_local: LocalSageMaker, raw: dict[str, Any]) -> None:
    key = f"{raw['raw_prefix']}period=2018-05/_SUCCESS"
    sagemaker_local.client("s3").put_object(Bucket=sagemaker_local.bucket, Key=key, Body=b"")
    with pytest.raises(AirflowFailException, match="before 2018-05 to learn from within history_months: 3"):
        sensor({**raw, "period": "2018-05", "history_months": 3}).execute({})
