"""A bucket whose policy demands `aws:kms` and one key: whatever a run puts there has both, and nothing else gets in."""

from __future__ import annotations

import ast
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.operators.transform import ResumableTransformOperator
from sagemaker_retraining.sensors.raw_data import RawDataSensor
from sagemaker_retraining.tasks.plan import create_plan
from sagemaker_retraining.tasks.promotion import copy_object
from sagemaker_retraining.tasks.quality_gate import run_gate
from tests.conftest import LocalSageMaker
from tests.kits.job_kit import Jobs
from tests.kits.project import GATE_CONFIG, LOCK, PLAN_CONTEXT, ExampleProject
from tests.kits.serving_kit import Serving, short_name

PACKAGE = Path(__file__).parents[2] / "plugins" / "sagemaker_retraining"
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
SSE = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}


class Vault:
    """The bucket, and a client that may only do what the policy lets everybody do."""

    def __init__(self, server: LocalSageMaker) -> None:
        self.server, self.s3, self.bucket = server, server.client("s3"), f"vault-{uuid.uuid4()}"
        self.s3.create_bucket(Bucket=self.bucket)
        conditions = [
            {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
            {"StringNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": KEY}},
            {"Bool": {"aws:SecureTransport": "false"}},
        ]
        resource = f"arn:aws:s3:::{self.bucket}/*"
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": resource}
        statements = [{**deny, "Condition": condition} for condition in conditions]
        self.s3.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps({"Statement": statements}))

    def uri(self, path: str) -> str:
        return f"s3://{self.bucket}/{path}"

    def put(self, path: str, body: bytes) -> None:
        """What others deliver, as they must."""
        self.s3.put_object(Bucket=self.bucket, Key=path, Body=body, **SSE)

    def refused(self, call: str, **options: Any) -> str:
        """The message of a call that the policy denies."""
        with pytest.raises(ClientError, match="AccessDenied") as error:
            getattr(self.s3, call)(Bucket=self.bucket, Key="k", **options)
        text: str = error.value.response["Error"]["Message"]
        return text

    def keys_of(self, prefix: str = "") -> set[str]:
        """The keys that objects below a prefix are encrypted with."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        heads = [self.s3.head_object(Bucket=self.bucket, Key=item["Key"]) for item in listed]
        return {head.get("SSEKMSKeyId", "none") for head in heads}

    def environment(self, role: str) -> str:
        """`include/environments/test.yaml` of a company that demands its key."""
        lines = ["environment: test", "region: us-east-1", 'account: "123456789012"', f"role_arn: {role}"]
        return "\n".join([*lines, f"bucket: {self.bucket}", f"kms_key_arn: {KEY}", ""])


@pytest.fixture
def vault(sagemaker_local: LocalSageMaker) -> Vault:
    return Vault(sagemaker_local)


@pytest.mark.aws_fact("company-bucket-policy")
def test_the_policy_is_asked(vault: Vault) -> None:
    denied = f'is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::{vault.bucket}/k" with an explicit'
    assert denied in vault.refused("put_object", Body=b"x")
    assert denied in vault.refused("put_object", Body=b"x", ServerSideEncryption="AES256")
    assert denied in vault.refused("put_object", Body=b"x", ServerSideEncryption="aws:kms")
    assert denied in vault.refused("put_object", Body=b"x", **{**SSE, "SSEKMSKeyId": KEY.replace("5555", "6666")})
    assert denied in vault.refused("create_multipart_upload")
    vault.put("a", b"x")
    assert denied in vault.refused("copy_object", CopySource={"Bucket": vault.bucket, "Key": "a"})
    upload = vault.s3.create_multipart_upload(Bucket=vault.bucket, Key="parts", **SSE)["UploadId"]
    vault.s3.upload_part(Bucket=vault.bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    assert vault.keys_of() == {KEY}


def test_jobs_put_everything_with_their_key(vault: Vault) -> None:
    jobs, name = Jobs(vault.server), f"kms-{uuid.uuid4().hex[:8]}"
    target = {"S3Uri": vault.uri("out"), "LocalPath": "/opt/ml/processing/output/out", "S3UploadMode": "EndOfJob"}
    outputs = [{"OutputName": "out", "S3Output": target}]
    script = "open('/opt/ml/processing/output/out/a', 'w').write('x')"
    with_key = {"ProcessingOutputConfig": {"Outputs": outputs, "KmsKeyId": KEY}}
    assert jobs.process(name, script, **with_key)["ProcessingJobStatus"] == "Completed"
    failed = jobs.process(f"{name}-no", script, ProcessingOutputConfig={"Outputs": outputs})
    assert "AccessDenied" in failed["FailureReason"]

    script = "import os\nfor d in ('model', 'checkpoints', 'output/data'):\n"
    script += "    os.makedirs(f'/opt/ml/{d}', exist_ok=True); open(f'/opt/ml/{d}/x', 'w').write('x')\n"
    place = {"OutputDataConfig": {"S3OutputPath": vault.uri("model"), "KmsKeyId": KEY}}
    spot = {**jobs.spot(name), "CheckpointConfig": {"S3Uri": vault.uri("checkpoints")}}
    trained = jobs.train(name, script, **place, **spot)
    assert trained["TrainingJobStatus"] == "Completed", trained.get("FailureReason")
    assert [vault.keys_of(prefix) for prefix in ("out", "model", "checkpoints")] == [{KEY}] * 3


@pytest.mark.aws_fact("image-volume-key-local-storage")
@pytest.mark.parametrize(("instance_type", "taken"), [("ml.g4dn.xlarge", False), ("ml.m5.large", True)])
def test_no_key_for_disks_that_encrypt_themselves(
    sagemaker_local: LocalSageMaker, instance_type: str, taken: bool
) -> None:
    jobs, name = Jobs(sagemaker_local), f"disk-{uuid.uuid4().hex[:8]}"
    disks = {"InstanceCount": 1, "InstanceType": instance_type, "VolumeSizeInGB": 1, "VolumeKmsKeyId": KEY}
    requests = {
        "create_processing_job": jobs.processing_request(name, "", ProcessingResources={"ClusterConfig": disks}),
        "create_training_job": jobs.training_request(name, "", ResourceConfig=disks),
    }
    for operation, request in requests.items():
        if taken:
            getattr(jobs.sagemaker, operation)(**request)
            continue
        with pytest.raises(ClientError, match="You can't request a VolumeKmsKeyId when using an instance type with lo"):
            getattr(jobs.sagemaker, operation)(**request)


@pytest.mark.usefixtures("aws_connection")
def test_airflow_puts_everything_with_the_key(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    project = ExampleProject(tmp_path)
    (project.root / "environments" / "prod.yaml").unlink()
    (project.root / "images.lock.yaml").write_text(LOCK.replace("eu-west-1", "us-east-1"))
    project.write_environment(vault.environment(vault.server.role_arn))
    plan = json.loads(json.dumps(create_plan("demo_model", PLAN_CONTEXT)))
    assert vault.keys_of("demo_model/code/") == {KEY}
    assert vault.keys_of(plan["prefix"]) == {KEY}, "plan.json"

    for name in ("period=2013-10/a.csv", "period=2013-10/_SUCCESS", "period=2013-11/a.csv", "period=2013-11/_SUCCESS"):
        vault.put(f"demo_model/raw/{name}", b"1")
    sensor = RawDataSensor(task_id="data_ready", config=plan["data_ready"], poll_seconds=0.1, timeout_seconds=60)
    sensor.execute({})

    gated = {"outputs": {"evaluation": vault.uri("gate/"), "report": vault.uri("gate/")}}
    vault.put("gate/evaluation.json", json.dumps({"binary_classification_metrics": {"auc": {"value": 0.9}}}).encode())
    vault.put("gate/report.html", b"<!-- decision -->")
    config = {**GATE_CONFIG, **{key: value for key, value in plan["quality_gate"].items() if key == "kms_key_arn"}}
    run_gate(RetrainingHook(), config, gated, lambda _: None)

    copy_object(RetrainingHook(), RetrainingHook(), vault.uri("gate/gate.json"), vault.uri("copy"), kms_key=KEY)
    assert vault.keys_of() == {KEY}


@pytest.mark.usefixtures("aws_connection")
def test_a_month_is_marked_with_the_key(vault: Vault, tmp_path: Path) -> None:
    serving = Serving(vault.server, tmp_path, "marked")
    serving.project.write_environment(vault.environment(vault.server.role_arn))
    plan = serving.plan("kind: batch")["transform"]
    operator = ResumableTransformOperator(task_id="transform", config=plan, model_package_arn="arn")
    operator.mark(vault.uri("demo_model/predictions/period=2013-11/_SUCCESS"), b"{}")
    assert vault.keys_of("demo_model/predictions/") == {KEY}


@pytest.mark.usefixtures("aws_connection")
def test_an_asynchronous_endpoint_is_verified_with_the_key(
    vault: Vault, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    serving = Serving(vault.server, tmp_path, short_name(request.node.name))
    serving.project.write_environment(vault.environment(vault.server.role_arn))
    plan = serving.plan("asynchronous: {}")
    deployed = serving.deploy(serving.version(1), plan)
    assert serving.verify_operator(1, deployed, plan).execute(serving.context())["requests"] == 3
    assert vault.keys_of("demo_model/") == {KEY}, "requests of verify, and answers of the endpoint"


def test_nothing_else_in_the_package_puts_objects() -> None:
    """Two places put objects into S3, and both say how they are encrypted."""
    puts = ("put_object", "upload_file", "upload_fileobj", "copy_object", "create_multipart_upload", "load_string")
    found = [
        node.func.attr
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in puts
    ]
    assert sorted(found) == ["put_object", "upload_fileobj"]
