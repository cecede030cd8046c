"""What a company's environment says: separate roles and keys, no network, another partition than `aws`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from sagemaker_retraining.config import ConfigError, load_environment, load_model
from sagemaker_retraining.requests import build_requests, serve_requests, validate
from sagemaker_retraining.requests.volumes import has_local_storage
from tests.kits.project import ENVIRONMENT, LOCK, MODEL, PACKAGE_ARN, ExampleProject

HOSTING = "arn:aws:iam::123456789012:role/team/hosting"
KEYS = {
    name: f"arn:aws:kms:eu-west-1:123456789012:key/{number}234abcd-12ab-34cd-56ef-1234567890ab"
    for number, name in enumerate(("kms_key_arn", "volume_kms_key_arn", "output_kms_key_arn", "capture_kms_key_arn"))
}
CHINA = (
    ENVIRONMENT.replace("eu-west-1", "cn-north-1")
    .replace("arn:aws:", "arn:aws-cn:")
    .replace("role/jobs", "role/team/a/jobs")
)


@pytest.fixture
def project(tmp_path: Path) -> ExampleProject:
    return ExampleProject(tmp_path)


def requests_with(project: ExampleProject, more: str) -> dict[str, Any]:
    """`{operation or step: request}` of a run in an environment that says more."""
    project.write_environment(ENVIRONMENT + more)
    requests = build_requests(project.plan())
    served = {operation: request for _, operation, request in serve_requests(requests, PACKAGE_ARN)}
    return {name: requests[name] for name in ("preprocess", "train", "evaluate", "register")} | served


def test_by_default_there_is_one_role_and_one_key(project: ExampleProject) -> None:
    plain = load_environment("test", project.root)
    assert plain.hosting_role_arn == plain.role_arn
    assert (plain.volume_kms_key_arn, plain.output_kms_key_arn, plain.capture_kms_key_arn) == (None, None, None)
    full = load_environment("prod", project.root)
    assert {full.volume_kms_key_arn, full.output_kms_key_arn, full.capture_kms_key_arn} == {full.kms_key_arn}


def test_each_role_and_key_goes_where_it_belongs(project: ExampleProject) -> None:
    lines = [f"hosting_role_arn: {HOSTING}", *(f"{name}: {key}" for name, key in KEYS.items())]
    made = requests_with(project, "\n".join([*lines, ""]))
    volume, output, capture = (KEYS[f"{name}_kms_key_arn"] for name in ("volume", "output", "capture"))
    for step in ("preprocess", "evaluate"):
        assert made[step]["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == volume
        assert made[step]["ProcessingOutputConfig"]["KmsKeyId"] == output
        assert made[step]["RoleArn"] == "arn:aws:iam::123456789012:role/jobs"
    assert made["train"]["ResourceConfig"]["VolumeKmsKeyId"] == volume
    assert made["train"]["OutputDataConfig"]["KmsKeyId"] == output
    assert made["register"]["package"]["SecurityConfig"]["KmsKeyId"] == KEYS["kms_key_arn"]
    assert made["CreateModel"]["ExecutionRoleArn"] == HOSTING
    assert made["CreateEndpointConfig"]["KmsKeyId"] == volume
    assert made["CreateEndpointConfig"]["DataCaptureConfig"]["KmsKeyId"] == capture


def test_network_isolation_reaches_every_container_and_the_code_comes_as_a_channel(project: ExampleProject) -> None:
    made = requests_with(project, "network_isolation: true\n")
    for step in ("preprocess", "evaluate"):
        assert made[step]["NetworkConfig"] == {"EnableNetworkIsolation": True}
    assert made["train"]["EnableNetworkIsolation"] is True
    assert made["train"]["HyperParameters"]["sagemaker_submit_directory"] == (
        '"/opt/ml/input/data/code/sourcedir.tar.gz"'
    )
    [code] = [channel for channel in made["train"]["InputDataConfig"] if channel["ChannelName"] == "code"]
    assert code["DataSource"]["S3DataSource"]["S3Uri"].endswith("/sourcedir.tar.gz")
    assert made["CreateModel"]["EnableNetworkIsolation"] is True
    validate("CreateTrainingJob", made["train"])
    validate("CreateModel", made["CreateModel"])


FORBIDDEN = {
    "deploy: {serverless: {}}": "model.yaml:5: deploy.serverless: a serverless endpoint cannot be isolated",
    "image: {framework: xgboost, version: 3.2-0}": "model.yaml:4: image.version: xgboost 3.2-0 cannot run scripts",
}


@pytest.mark.aws_fact("company-isolation-newer-image")
@pytest.mark.aws_fact("company-isolation-serverless")
@pytest.mark.parametrize("line", FORBIDDEN)
def test_what_isolation_forbids_is_said_before_money_is_spent(project: ExampleProject, line: str) -> None:
    project.write_environment(f"{ENVIRONMENT}network_isolation: true\n")
    (project.root / "images.lock.yaml").write_text(f"{LOCK}  3.2-0:\n    eu-west-1: 1.dkr/x:3.2-0\n")
    kept = [old for old in MODEL.splitlines() if old.split(":")[0] != line.split(":", maxsplit=1)[0]]
    project.write_model("\n".join([*kept, line, ""]))
    with pytest.raises(ConfigError) as error:
        load_model("demo_model", project.root, "test")
    assert FORBIDDEN[line] in str(error.value)
    assert "environment test has network_isolation" in str(error.value)


def test_an_isolated_container_installs_nothing(project: ExampleProject) -> None:
    (project.folder / "requirements.txt").write_text("# none\nlightgbm==4.6.0\n")
    load_model("demo_model", project.root, "test")
    project.write_environment(f"{ENVIRONMENT}network_isolation: true\n")
    with pytest.raises(ConfigError, match=r"demo_model/requirements.txt: names packages, which a container without"):
        load_model("demo_model", project.root, "test")


def test_other_partitions_and_roles_with_a_path(project: ExampleProject) -> None:
    project.write_environment(CHINA)
    environment = load_environment("test", project.root)
    role = "arn:aws-cn:iam::123456789012:role/team/a/jobs"
    assert (environment.partition, environment.role_arn) == ("aws-cn", role)
    (project.root / "images.lock.yaml").write_text(LOCK.replace("eu-west-1", "cn-north-1"))
    requests = build_requests(project.plan())
    version = PACKAGE_ARN.replace("arn:aws:", "arn:aws-cn:").replace("eu-west-1", "cn-north-1")
    validate("CreateTrainingJob", requests["train"])
    for service, operation, request in serve_requests(requests, version):
        validate(operation, request, service)
    assert "arn:aws:" not in json.dumps(requests)


WRONG = [
    (ENVIRONMENT, "hosting_role_arn: arn:aws:iam::210987654321:role/x", "6: hosting_role_arn: arn:aws:iam::2109"),
    (ENVIRONMENT, "hosting_role_arn: hosting", "6: hosting_role_arn: 'hosting' is not the ARN of an IAM role"),
    (ENVIRONMENT, "volume_kms_key_arn: alias/a", "6: volume_kms_key_arn: 'alias/a' is not the ARN of a KMS key"),
    (
        ENVIRONMENT,
        f"kms_key_arn: {KEYS['kms_key_arn'].replace('key/', 'alias/')}",
        "is not the ARN of a KMS key (no al",
    ),
    (
        ENVIRONMENT,
        "output_kms_key_arn: arn:aws:kms:us-east-1:123456789012:key/a",
        "6: output_kms_key_arn: arn:aws:kms:us-east-1:123456789012:key/a is not a key of region eu-west-1",
    ),
    (ENVIRONMENT.replace("eu-west-1", "us-gov-west-1"), "", "5: role_arn: arn:aws:iam::123456789012:role/jobs cannot"),
    (CHINA, f"hosting_role_arn: {HOSTING}", "6: hosting_role_arn: arn:aws:iam::123456789012:role/team/hosting cannot"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_what_cannot_be_used_is_one_sentence(project: ExampleProject, text: str, line: str, message: str) -> None:
    project.write_environment(f"{text}{line}\n")
    with pytest.raises(ConfigError) as error:
        load_environment("test", project.root)
    assert [message in problem for problem in error.value.problems] == [True], error.value.problems


def test_which_types_have_local_storage_is_what_ec2_says() -> None:
    """moto has the answer of DescribeInstanceTypes."""
    shapes = ("TrainingInstanceType", "ProcessingInstanceType", "TransformInstanceType")
    service = botocore.session.get_session().get_service_model("sagemaker")
    types = {name for shape in shapes for name in service.shape_for(shape).enum if name[3:] in INSTANCE_TYPES}
    assert len(types) > 100
    said = {name: bool(INSTANCE_TYPES[name[3:]].get("InstanceStorageSupported")) for name in types}
    assert {name: has_local_storage(name) for name in types} == said


@pytest.mark.aws_fact("company-endpoint-config-volume-key")
@pytest.mark.parametrize(
    ("instance_type", "local"),
    [
        *(
            (name, True)
            for name in ("ml.g4dn.xlarge", "ml.g5.2xlarge", "ml.p4d.24xlarge", "ml.m5d.large", "ml.trn1.2xlarge")
        ),
        *(
            (name, False)
            for name in ("ml.m5.xlarge", "ml.c5n.large", "ml.inf2.xlarge", "ml.m7i-flex.large", "ml.m6g.large")
        ),
    ],
)
def test_no_key_for_disks_that_encrypt_themselves(project: ExampleProject, instance_type: str, local: bool) -> None:
    assert has_local_storage(instance_type) is local
    steps = "".join(f"{step}: {{instance_type: {instance_type}}}\n" for step in ("preprocess", "train", "deploy"))
    project.write_model(MODEL + steps)
    made = requests_with(project, f"kms_key_arn: {KEYS['kms_key_arn']}\n")
    assert ("VolumeKmsKeyId" in made["preprocess"]["ProcessingResources"]["ClusterConfig"]) is not local
    assert ("VolumeKmsKeyId" in made["train"]["ResourceConfig"]) is not local
    assert "KmsKeyId" in made["CreateEndpointConfig"], "taken, and policies may demand it"
    assert made["train"]["OutputDataConfig"]["KmsKeyId"] == KEYS["kms_key_arn"], "S3 keeps its own"
