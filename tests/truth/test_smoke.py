"""`make aws-smoke` against the local SageMaker: its recording, and that nothing stays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.aws_smoke.redact import Redactor
from include.sagemaker_local.compare.replay import read
from tests.conftest import REPOSITORY, LocalSageMaker
from tests.truth.table import every_fact

BUCKET = "sagemaker-retraining-local"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    """An account in which nothing is but the bucket."""
    local = LocalSageMaker(tmp_path_factory.mktemp("smoke") / "state").start()
    local.client("s3").create_bucket(Bucket=BUCKET)
    yield local
    local.stop()


def start(server: LocalSageMaker, folder: Path, environment: str = "local") -> subprocess.Popen[str]:
    """`python -m include.aws_smoke`, whose recordings go below the folder."""
    variables = {**server.environment(), "RETRAINING_LOCAL": str(folder / ".local")}
    command = [sys.executable, "-m", "include.aws_smoke", environment]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=variables, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


def leftovers(server: LocalSageMaker) -> dict[str, Any]:
    """Everything in the account that a smoke run could have made."""
    api, logs = server.client("sagemaker"), server.client("logs")
    lists = {
        "Endpoints": api.list_endpoints,
        "EndpointConfigs": api.list_endpoint_configs,
        "Models": api.list_models,
        "ModelPackageGroupSummaryList": api.list_model_package_groups,
        "TrainingJobSummaries": api.list_training_jobs,
        "ProcessingJobSummaries": api.list_processing_jobs,
    }
    found = {name: call()[name] for name, call in lists.items()}
    found["objects"] = server.client("s3").list_object_versions(Bucket=BUCKET).get("Versions", [])
    for group in logs.describe_log_groups()["logGroups"]:
        streams = logs.describe_log_streams(logGroupName=group["logGroupName"])["logStreams"]
        found[group["logGroupName"]] = streams
    return {name: items for name, items in found.items() if items}


@pytest.fixture(scope="module")
def recording(server: LocalSageMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that a whole smoke run wrote."""
    folder = tmp_path_factory.mktemp("recordings")
    output = start(server, folder).communicate("yes\n", timeout=400)[0]
    [file] = folder.glob(".local/aws-smoke/local-*.jsonl")
    assert "FAILED" not in output and "NOT DELETED" not in output, output
    assert "about 40 instance-minutes" in output
    return file


@pytest.mark.slow
def test_the_smoke_run_deletes_what_it_made(server: LocalSageMaker, recording: Path) -> None:
    assert recording.exists()
    assert leftovers(server) == {}


@pytest.mark.slow
def test_every_probe_of_the_table_is_sent(recording: Path) -> None:
    names = {line["name"] for line in read(recording)[1]}
    assert {fact.id: fact.probe for fact in every_fact() if fact.probe and fact.probe not in names} == {}


@pytest.mark.slow
def test_a_recording_holds_nothing_of_the_account(recording: Path) -> None:
    assert BUCKET not in recording.read_text().replace("role/sagemaker-retraining-local", "")


@pytest.mark.slow
def test_an_interrupted_run_deletes_what_it_made(server: LocalSageMaker, tmp_path: Path) -> None:
    process = start(server, tmp_path)
    assert process.stdin and process.stdout
    process.stdin.write("yes\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("training job"):
            break
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    assert process.wait(timeout=120) == 1
    assert "FAILED interrupted" in output, output
    assert leftovers(server) == {}


@pytest.mark.parametrize("answer", ["no\n", "\n", ""])
def test_nothing_is_made_without_a_yes(server: LocalSageMaker, tmp_path: Path, answer: str) -> None:
    process = start(server, tmp_path)
    output = process.communicate(answer, timeout=60)[0]
    assert process.returncode == 1
    assert "Nothing was started." in output
    assert not (tmp_path / ".local").exists()


@pytest.mark.parametrize(("environment", "says"), [("nowhere", "there is no environment 'nowhere'"), ("", "ENV=prod")])
def test_a_wrong_environment_starts_nothing(
    server: LocalSageMaker, tmp_path: Path, environment: str, says: str
) -> None:
    process = start(server, tmp_path, environment)
    assert says in process.communicate("yes\n", timeout=60)[0]
    assert process.returncode in (1, 2)


@pytest.mark.slow
def test_an_unaltered_recording_has_no_differences(recording: Path) -> None:
    command = [sys.executable, "-m", "include.sagemaker_local.compare", str(recording)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert ": 0 differences" in done.stdout


def test_secrets_and_names_are_removed() -> None:
    role = "arn:aws:iam::999988887777:role/team/jobs"
    redact = Redactor("999988887777", "our-bucket", (role,))
    value = {
        "RoleArn": role,
        "ImageUri": "683313688378.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5",
        "Uri": "s3://our-bucket/x?X-Amz-Signature=abc&X-Amz-Credential=ASIAQWERTYUIOPASDFGH/1",
        "ClientToken": "secret",
        "CreatedBy": {"UserProfileName": "jane", "IamIdentity": {"Arn": "arn:aws:iam::999988887777:user/jane"}},
        "Subnets": ["subnet-0123456789abcdef0"],
        "Message": "User: arn:aws:sts::999988887777:assumed-role/Admin/jane is not authorized to perform: x",
    }
    text = json.dumps(redact(value))
    for secret in ("999988887777", "our-bucket", "team/jobs", "abc", "ASIA", "secret", "jane", "0123456789abcdef0"):
        assert secret not in text
    assert "683313688378" in text and "s3://smoke-bucket/x" in text
