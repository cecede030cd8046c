"""Keys with `#` and `?`, which S3 allows: what is written at one is read there, by the package and by the service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.links import report_address
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import IMAGE, Kit, model_archive

ODD = "odd keys/run #3?/a?b#c"


@pytest.fixture
def keys(sagemaker_local: LocalSageMaker) -> Any:
    """All keys under a prefix, as S3 lists them."""
    s3 = sagemaker_local.client("s3")

    def listed(prefix: str) -> list[str]:
        found = s3.list_objects_v2(Bucket=sagemaker_local.bucket, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]

    return listed


@pytest.mark.usefixtures("aws_connection")
def test_the_hook_and_the_links(sagemaker_local: LocalSageMaker, keys: Any) -> None:
    hook = RetrainingHook(aws_conn_id="aws_default")
    uri = f"s3://{sagemaker_local.bucket}/{ODD}/report.json"
    hook.write_bytes(uri, b'{"a": 1}', kms_key=None)
    assert keys(ODD) == [f"{ODD}/report.json"]
    assert hook.exists(uri)
    assert hook.read_json(uri) == {"a": 1}
    assert httpx.get(report_address(hook, uri), trust_env=False).json() == {"a": 1}


def test_a_model_and_its_captured_requests(sagemaker_local: LocalSageMaker, keys: Any) -> None:
    kit = Kit(sagemaker_local)
    kit.config("odd-keys", kit.capture(f"{ODD}/capture"))
    kit.sagemaker.delete_model(ModelName="odd-keys")  # its archive has an ordinary key
    kit.s3.put_object(Bucket=kit.server.bucket, Key=f"{ODD}/model.tar.gz", Body=model_archive(factor=3))
    container = {
        "Image": IMAGE,
        "ModelDataUrl": f"s3://{kit.server.bucket}/{ODD}/model.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
    }
    kit.sagemaker.create_model(
        ModelName="odd-keys", ExecutionRoleArn=sagemaker_local.role_arn, PrimaryContainer=container
    )
    kit.create("odd-keys", "odd-keys")
    assert "6" in kit.invoke("odd-keys", "2")
    kit.delete("odd-keys")
    assert len(keys(f"{ODD}/capture/odd-keys/AllTraffic/")) == 1
