"""The quality_gate task against the local SageMaker's S3: what it writes, and what a refusal does."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.tasks.quality_gate import run_gate
from tests.conftest import LocalSageMaker
from tests.kits.project import GATE_CONFIG

pytestmark = pytest.mark.usefixtures("aws_connection")
PAGE = b"<!doctype html><p>caf\xe9</p><!-- decision --><p>after</p>"


class Evaluated:
    """What evaluate left in S3, in a folder of one test."""

    def __init__(self, server: LocalSageMaker) -> None:
        self.s3, self.bucket, self.prefix = server.client("s3"), server.bucket, f"gate/{uuid.uuid4()}/"
        base = f"s3://{self.bucket}/{self.prefix}"
        self.xcom = {"outputs": {"evaluation": f"{base}evaluation/", "report": f"{base}report/"}}
        self.pushed: list[dict[str, Any]] = []

    def put(self, name: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=body)

    def measured(self, auc: float, **more: Any) -> None:
        document = {"binary_classification_metrics": {"auc": {"value": auc}}, **more}
        self.put("evaluation/evaluation.json", json.dumps(document).encode())

    def get(self, name: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        return body

    def gate(self, **config: Any) -> dict[str, Any]:
        return run_gate(RetrainingHook(), {**GATE_CONFIG, **config}, self.xcom, self.pushed.append)


@pytest.fixture
def evaluated(sagemaker_local: LocalSageMaker) -> Evaluated:
    return Evaluated(sagemaker_local)


def test_a_yes_is_an_xcom_a_log_line_a_file_and_a_block(evaluated: Evaluated, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    evaluated.measured(0.7, champion_error="<gone> & lost")
    evaluated.put("report/report.html", PAGE)
    result = evaluated.gate()
    assert result["passed"]
    assert evaluated.pushed == [result]
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("quality_gate")]
    assert lines[0] == f"Quality gate: passed: {result['reason']}"
    assert [record.levelname for record in caplog.records if "thresholds alone decide" in record.getMessage()] == [
        "INFO", "WARNING",
    ]  # fmt: skip
    written = json.loads(evaluated.get("evaluation/gate.json"))
    assert {key: written[key] for key in result} == result
    assert written["config"] == GATE_CONFIG
    page = evaluated.get("report/report.html")
    assert page.startswith(b"<!doctype html><p>caf\xe9</p><!-- decision --><section")
    assert page.endswith(b"</section><!-- /decision --><p>after</p>")
    assert b'passed</span></h2><p>all thresholds met; not compared' in page  # fmt: skip
    assert b"&lt;gone&gt; &amp; lost" in page


def test_done_again_it_leaves_one_block(evaluated: Evaluated) -> None:
    evaluated.put("report/report.html", PAGE)
    evaluated.measured(0.7)
    evaluated.gate()
    first = evaluated.get("report/report.html")
    evaluated.gate()
    assert evaluated.get("report/report.html") == first
    evaluated.measured(0.5)
    evaluated.gate(on_failure="register_rejected")
    page = evaluated.get("report/report.html")
    assert page.count(b"<section") == page.count(b"refused</span>") == 1
    assert b"passed" not in page


@pytest.mark.parametrize("page", [None, b"<!doctype html><p>of the model's own</p>"])
def test_a_model_may_have_no_place_for_it_in_its_report(evaluated: Evaluated, page: bytes | None) -> None:
    evaluated.measured(0.7)
    if page:
        evaluated.put("report/report.html", page)
    assert evaluated.gate()["passed"]
    if page:
        assert evaluated.get("report/report.html") == page


@pytest.mark.parametrize(
    ("on_failure", "raised"), [("fail", AirflowFailException), ("skip", AirflowSkipException)]
)  # fmt: skip
def test_a_no_ends_the_run_as_the_model_wants_and_leaves_its_numbers(
    evaluated: Evaluated, on_failure: str, raised: type[Exception]
) -> None:
    evaluated.measured(0.5)
    evaluated.put("report/report.html", PAGE)
    with pytest.raises(raised, match=r"refuses the model.*: auc 0.5000 misses its minimum of 0.6"):
        evaluated.gate(on_failure=on_failure)
    (pushed,) = evaluated.pushed
    assert (pushed["passed"], pushed["on_failure"], pushed["challenger"]) == (False, on_failure, {"auc": 0.5})
    assert not json.loads(evaluated.get("evaluation/gate.json"))["passed"]
    assert b"refused" in evaluated.get("report/report.html")


def test_a_no_may_go_on_to_be_registered_as_rejected(evaluated: Evaluated) -> None:
    evaluated.measured(0.5)
    result = evaluated.gate(on_failure="register_rejected")
    assert (result["passed"], result["on_failure"]) == (False, "register_rejected")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "evaluation/evaluation.json: there is no such object"),
        (b"", "evaluation/evaluation.json: not JSON: Expecting value"),
        (b"auc=0.7", "evaluation/evaluation.json: not JSON: Expecting value"),
        (b"\xff\xfe\x00", "evaluation/evaluation.json: not JSON: 'utf"),
        (b"[]", r"evaluation/evaluation.json: is \[\]; expected an object"),
        (
            b'{"binary_classification_metrics": {"auc": {"value": "high"}}}',
            'evaluation/evaluation.json: binary_classification_metrics.auc.value is "high"; expected a number',
        ),
    ],
)
def test_an_evaluation_that_cannot_be_used_fails_without_a_retry(
    evaluated: Evaluated, body: bytes | None, said: str
) -> None:
    if body is not None:
        evaluated.put("evaluation/evaluation.json", body)
    with pytest.raises(AirflowFailException, match=rf"The quality gate cannot decide: s3://.*{said}"):
        evaluated.gate()
    assert evaluated.pushed == []
    listed = evaluated.s3.list_objects_v2(Bucket=evaluated.bucket, Prefix=evaluated.prefix).get("Contents", [])
    assert [item["Key"] for item in listed if item["Key"].endswith("gate.json")] == []
