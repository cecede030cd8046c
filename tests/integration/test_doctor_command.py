"""`python -m sagemaker_retraining doctor` as a platform engineer types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import botocore.client
import pytest

from include.sagemaker_local.errors import AwsError
from sagemaker_retraining.cli.main import main
from tests.conftest import free_port
from tests.kits.doctor_kit import World, denied, proxy

Doctor = Callable[..., tuple[int, list[str]]]
READS = re.compile(r"(Get|Describe|List|Head|BatchGet|Simulate)")


@pytest.fixture
def world(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An account in order, and an engineer's environment."""
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "prod")
    extra = {"role_arn": world.dag_role}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_APPROVER", "aws://AKIA:hunter2@/")
    return world


@pytest.fixture
def doctor(world: World, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs the command: exit status, and what it printed but lint's warnings (of images that get old); no traceback."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        status = main(["doctor", *arguments])
        captured = capsys.readouterr()
        printed = [*captured.out.splitlines(), *captured.err.splitlines()]
        return status, [line for line in printed if not line.startswith("warning: ")]

    return run


def test_an_account_in_order(world: World, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every family has its line, and nothing but reading was asked of AWS."""
    asked: set[str] = set()
    call = botocore.client.BaseClient._make_api_call

    def recording(client: object, operation: str, parameters: dict[str, object]) -> object:
        asked.add(operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recording)
    status, lines = doctor("--env", "prod")
    assert (status, lines[-1]) == (0, f"{len(lines) - 1} ok, 0 wrong, 0 could not look"), "\n".join(lines)
    assert [line for line in lines[:-1] if not line.startswith("ok  ")] == []
    subjects = " ".join(line.split(":")[0] for line in lines)
    families = ("files", "credentials", "aws_conn_id", "approver_conn_id", "role of", "permissions of the DAG's role")
    families += (
        "who may approve",
        "permissions of the role",
        "bucket",
        "image",
        "quotas",
        "group",
        "endpoint",
        "raw data",
    )
    assert [name for name in families if name not in subjects] == []
    assert {"SimulatePrincipalPolicy", "HeadBucket", "ListServiceQuotas", "GetCallerIdentity"} <= asked
    assert [operation for operation in asked if not READS.match(operation)] == []
    assert "hunter2" not in "\n".join(lines)


def test_what_is_wrong_ends_with_1(world: World, doctor: Doctor) -> None:
    """And what may not be looked at does not."""
    rule = {"servicequotas": denied("servicequotas:ListServiceQuotas")}
    with proxy(world.server.url, **rule) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        status, lines = doctor()
    assert (status, lines[-1].split(", ")[1:]) == (0, ["0 wrong", "1 could not look"])
    assert "could not look  quotas: not allowed to call servicequotas:ListServiceQuotas" in lines
    world.client("s3").put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Suspended"})
    status, lines = doctor("demo_model")
    assert (status, lines[-1].split(", ")[1:]) == (1, ["1 wrong", "0 could not look"])
    assert [line for line in lines if line.startswith("wrong           bucket versioning: off")]


EXPIRED = AwsError("ExpiredToken", "The security token included in the request is expired", status=403)
UNKNOWN_KEY = AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", status=403)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EXPIRED, "credentials: the credentials have expired; log in again (ExpiredToken)"),
        (UNKNOWN_KEY, "credentials: AWS does not know the access key, or the region is not enabled in the account"),
    ],
)
def test_credentials_that_aws_refuses(
    world: World, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, error: AwsError, said: str
) -> None:
    with proxy(world.server.url, sts=error) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        status, lines = doctor()
    assert (status, lines[1].startswith(f"wrong           {said}")) == (1, True), lines
    assert lines[2:] == ["1 ok, 1 wrong, 0 could not look"], "nothing else was worth a look"


def test_no_credentials(world: World, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    status, lines = doctor()
    said = "wrong           credentials: none found; log in (aws sso login, aws configure) or set AWS_PROFILE"
    assert (status, lines[1:]) == (1, [said, "1 ok, 1 wrong, 0 could not look"])


def test_the_wrong_account(world: World, doctor: Doctor) -> None:
    world.text = world.text.replace("123456789012", "210987654321")
    world.environment()
    status, lines = doctor()
    assert status == 1
    said = "is of account 123456789012, environment prod is in account 210987654321; use credentials of that account"
    assert said in lines[1]


def test_aws_that_does_not_answer(world: World, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    status, lines = doctor()
    assert (status, len(lines)) == (1, 3)
    assert lines[1].startswith(
        "wrong           credentials: AWS does not answer: Could not connect to the endpoint URL"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--env", "prid"], "there is no environment 'prid' (RETRAINING_ENV); did you mean 'prod'?"),
        (["demo"], "there is no such model; did you mean 'demo_model'?"),
        (
            ["--dag-role", "airflow"],
            "--dag-role airflow: expected a role such as arn:aws:iam::123456789012:role/airflow",
        ),
    ],
)
def test_bad_arguments_are_one_line(world: World, doctor: Doctor, arguments: list[str], said: str) -> None:
    status, lines = doctor(*arguments)
    assert status == 1
    assert said in lines[0]
    assert len(lines) <= 2, "and the sum of the lines at most"


def test_a_profile_that_is_not_there(world: World, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    status, lines = doctor()
    assert (status, lines[-1]) == (1, "The config profile (nobody) could not be found")


def test_files_that_are_wrong(world: World, doctor: Doctor) -> None:
    """An environment that cannot be used ends it; a model that cannot is left out."""
    world.environment("aws_con_id: x\n")
    status, lines = doctor()
    assert (status, len(lines)) == (1, 2)
    assert "wrong           files: include/environments/prod.yaml:7: aws_con_id: unknown key" in lines[0]
    world.environment(model="{train: {instance_typ: ml.m5.large}}")
    status, lines = doctor()
    assert status == 1
    assert "models.demo_model" in lines[0] or "train.instance_typ" in lines[0]
    assert any(line.startswith("ok              bucket versioning") for line in lines)
