"""Models that answer JSON: verified and compared in the shadow as those that answer CSV."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_retraining.operators.verify import VerifyEndpointOperator
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import wait_for
from tests.kits.serving_kit import Serving, finished, short_name

pytestmark = pytest.mark.usefixtures("as_dag_role")
TYPES = {"list": "application/json", "predictions": "application/json", "lines": "application/jsonlines"}
INFERENCE = """
import json

FACTOR, SHAPE, TYPE = {factor}, "{shape}", "{content_type}"

def model_fn(model_dir):
    return FACTOR

def input_fn(body, content_type):
    return [float(value) for value in (body if isinstance(body, str) else body.decode()).split(",")]

def predict_fn(values, model):
    return [value * FACTOR for value in values]

def output_fn(prediction, accept):
    if accept != TYPE:
        raise ValueError(f"I do not answer {{accept}}")
    if SHAPE == "lines":
        return "\\n".join(json.dumps({{"score": value}}) for value in prediction), accept
    return json.dumps(prediction if SHAPE == "list" else {{"predictions": prediction}}), accept
"""


def archive(factor: float, shape: str) -> bytes:
    """A model.tar.gz that refuses every content type but its own."""
    text = INFERENCE.format(factor=factor, shape=shape, content_type=TYPES[shape]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(text)
        packed.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


@pytest.mark.parametrize("shape", TYPES)
def test_verify_reads_json(serving: Serving, shape: str) -> None:
    plan = serving.plan()
    good = serving.deploy(serving.version(1, archive=archive(1, shape), answers=TYPES[shape]), plan)
    result = serving.verify(1, good, plan)
    assert (result["requests"], result["max_difference"]) == (3, 0.0)
    bad = serving.deploy(serving.version(2, archive=archive(2.0001, shape), answers=TYPES[shape]), plan)
    with pytest.raises(AirflowFailException, match=r"3 of 3 .* 1: offline 2.0, endpoint 2.0001; .*serves again"):
        serving.verify(2, bad, plan)
    assert serving.endpoint()["EndpointConfigName"] == good["endpoint_config"]


@pytest.mark.slow
def test_an_asynchronous_model_may_answer_json(serving: Serving) -> None:
    plan = serving.plan("asynchronous: {}")
    arn = serving.version(1, archive=archive(1, "predictions"), answers=TYPES["predictions"])
    assert serving.verify(1, serving.deploy(arn, plan), plan)["max_difference"] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("shape", TYPES)
def test_a_shadow_that_answers_json_is_compared(serving: Serving, shape: str) -> None:
    shadow = "challenger: {as: shadow, percent: 100, report_after_hours: 0}, data_capture: {sampling_percentage: 100}"
    plan = serving.plan(shadow)
    for number in (1, 2):
        archived = archive(number, shape)
        deployed = serving.deploy(serving.version(number, archive=archived, answers=TYPES[shape]), plan)
    for number in range(20):
        serving.server.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=serving.name, ContentType="text/csv", Accept=TYPES[shape], Body=f"{number},1"
        )

    def compared() -> dict[str, Any] | None:
        task = VerifyEndpointOperator(
            task_id="verify", config=plan["verify"], deployment=deployed, sample_uri="s3://unused/x", poll_seconds=0.1
        )
        ti = SimpleNamespace(xcom_push=lambda key, value: None)
        result: dict[str, Any] = finished(task, {**serving.context(), "ti": ti})
        return result if result["pairs"] == 20 else None

    result = wait_for(compared, "all events in S3")
    assert (result["predictions"], result["not_numbers"]) == (40, 0)
    assert result["difference"]["max"] == 19.0
    assert result["same_share"] == 1 / 40
