"""`verify` of a shadow: the captured answers of both variants become figures and a page."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from sagemaker_retraining.links import ReportLink
from sagemaker_retraining.operators.verify import VerifyEndpointOperator
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import wait_for
from tests.kits.serving_kit import Serving, short_name

pytestmark = [pytest.mark.usefixtures("as_dag_role"), pytest.mark.slow]
SHADOW = "challenger: {as: shadow, percent: 100, report_after_hours: 0}, data_capture: {sampling_percentage: 100}"


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


def verify(serving: Serving, deployed: dict[str, Any], plan: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The task's result and its XComs."""
    xcom: dict[str, str] = {}
    task = VerifyEndpointOperator(
        task_id="verify", config=plan["verify"], deployment=deployed, sample_uri="s3://unused/x", poll_seconds=0.1
    )
    ti = SimpleNamespace(xcom_push=lambda key, value: xcom.update({key: value}))
    return task.execute({**serving.context(), "ti": ti}), xcom


def with_shadow(serving: Serving, deploy: str = SHADOW) -> tuple[dict[str, Any], dict[str, Any]]:
    """The second version in the shadow of the first: (XCom of deploy, plan)."""
    serving.deploy(serving.version(1))
    plan = serving.plan(deploy)
    return serving.deploy(serving.version(2), plan), plan


def test_the_answers_of_both_are_compared(serving: Serving) -> None:
    deployed, plan = with_shadow(serving)
    assert deployed["shadow"]
    for number in range(40):
        assert serving.answer(str(number)) == number, "production answers"

    def compared() -> bool:
        nonlocal result, xcom
        result, xcom = verify(serving, deployed, plan)
        return bool(result["pairs"] == 40 and result["traffic"]["shadow"]["invocations"] == 40)

    result: dict[str, Any] = {}
    xcom: dict[str, str] = {}
    wait_for(compared, "all events in S3 and all metrics in CloudWatch")
    assert result["predictions"] == 40
    assert result["difference"]["max"] == 39.0
    assert result["same_share"] == 1 / 40
    assert result["correlation"] == pytest.approx(1.0)
    assert result["versions"] == {"production": f"{serving.name}/1", "shadow": f"{serving.name}/2"}
    assert result["traffic"]["production"]["invocations"] == 40
    assert 0 < result["traffic"]["shadow"]["latency_ms"] <= result["traffic"]["shadow"]["max_latency_ms"]
    assert "values" not in result, "single predictions are in the file, not in Airflow's database"
    assert xcom == {ReportLink().xcom_key: f"{serving.server.url}/_local/objects/{result['report'][5:]}"}
    place = result["report"].rpartition("/")[0].split("/", 3)[3]
    bodies = {
        name: serving.s3.get_object(Bucket=serving.server.bucket, Key=f"{place}/{name}")["Body"].read()
        for name in ("report.html", "comparison.json")
    }
    assert f"{serving.name}/2 in the shadow of {serving.name}/1".encode() in bodies["report.html"]
    assert len(json.loads(bodies["comparison.json"])["values"]) == 40


def test_the_report_waits_for_its_hours(serving: Serving) -> None:
    deployed, plan = with_shadow(serving, SHADOW.replace("hours: 0", "hours: 2"))
    with pytest.raises(TaskDeferred) as deferral:
        verify(serving, deployed, plan)
    waited = deferral.value.trigger.moment - serving.endpoint()["LastModifiedTime"]
    assert waited.total_seconds() == 7200
    assert deferral.value.method_name == "compare_now"


def test_no_report_where_none_is_wanted_or_the_shadow_is_gone(serving: Serving) -> None:
    deployed, plan = with_shadow(serving, SHADOW.replace("hours: 0", "hours: null"))
    with pytest.raises(AirflowSkipException, match="report_after_hours asks for no comparison"):
        verify(serving, deployed, plan)
    since = serving.endpoint()["LastModifiedTime"].isoformat()
    later = VerifyEndpointOperator(
        task_id="verify", config=plan["verify"], deployment=deployed, sample_uri="s3://unused/x", poll_seconds=0.1
    )
    serving.deploy(serving.version(3))
    with pytest.raises(AirflowSkipException, match="nothing is compared"):
        later.compare_now({}, since=since)
