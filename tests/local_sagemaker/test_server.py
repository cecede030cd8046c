"""The server itself: starting and stopping, errors that clients do not retry, every way in, the AWS CLI."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from include.sagemaker_local.operations.table import OPERATIONS
from tests.conftest import JOBS_PYTHON, REPOSITORY, LocalSageMaker, free_port

AWS = Path(sys.executable).with_name("aws")


def call(server: LocalSageMaker, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any, Any]:
    """A raw request, as a client that is not boto3 makes it: status, headers, parsed body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, json.loads(content)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to give up."""
    command = [sys.executable, "-m", "include.sagemaker_local", *options]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)


def test_health(sagemaker_local: LocalSageMaker) -> None:
    health = sagemaker_local.health()
    assert health["status"] == "ok"
    assert health["python"] == str(JOBS_PYTHON)
    assert health["pid"] == sagemaker_local.process.pid  # type: ignore[union-attr]
    assert 10_000_000 < health["memory_rss_bytes"] < 400_000_000
    assert health["isolation"]


def test_it_listens_on_loopback_only(sagemaker_local: LocalSageMaker) -> None:
    with socket.socket() as probe, pytest.raises(OSError, match="refused"):
        probe.connect(("127.0.0.2", sagemaker_local.port))


def test_every_implemented_operation_is_one_of_sagemakers() -> None:
    sagemaker = boto3.client("sagemaker", region_name="us-east-1")
    assert set(OPERATIONS) <= set(sagemaker.meta.service_model.operation_names)


def test_every_implemented_operation_is_documented() -> None:
    text = (REPOSITORY / "docs/local-sagemaker.md").read_text()
    assert [name for name in OPERATIONS if f"`{name}`" not in text] == []


def test_an_operation_that_is_missing_here_is_not_retried(sagemaker_local: LocalSageMaker) -> None:
    config = Config(retries={"total_max_attempts": 5, "mode": "standard"})
    session = boto3.Session("test", "test", region_name="us-east-1")
    sagemaker = session.client("sagemaker", endpoint_url=sagemaker_local.url, config=config)
    with pytest.raises(ClientError) as caught:
        sagemaker.list_clusters()
    error = caught.value.response
    assert error["Error"]["Code"] == "UnsupportedOperation"
    assert error["Error"]["Message"] == "ListClusters is not implemented by the local SageMaker."
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert error["ResponseMetadata"]["RetryAttempts"] == 0


def test_an_operation_that_moto_lacks_is_not_retried_either(sagemaker_local: LocalSageMaker) -> None:
    for service, method, request in (
        ("logs", "describe_account_policies", {"policyType": "DATA_PROTECTION_POLICY"}),
        ("iam", "get_context_keys_for_custom_policy", {"PolicyInputList": ["{}"]}),
    ):
        session: Any = boto3.Session("test", "test", region_name="us-east-1")
        client = session.client(service, endpoint_url=sagemaker_local.url)
        with pytest.raises(ClientError) as caught:
            getattr(client, method)(**request)
        assert caught.value.response["Error"]["Code"] == "UnsupportedOperation"
        assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("SageMaker.MakeCoffee", "{}", 400, "UnknownOperationException"),
        ("SageMaker.ListModels", "{", 400, "SerializationException"),
        ("SageMaker.ListModels", "[]", 400, "SerializationException"),
        ("SageMaker.DescribeModel", "", 400, "ValidationException"),
    ],
)
def test_bad_calls_are_errors_in_json(
    sagemaker_local: LocalSageMaker, target: str, body: str, status: int, code: str
) -> None:
    answer = call(sagemaker_local, "POST", "/", body, X_Amz_Target=target)
    assert answer[0] == status
    assert answer[2]["__type"] == code
    assert answer[1]["x-amzn-RequestId"]


def test_null_means_not_given(sagemaker_local: LocalSageMaker) -> None:
    status, _, answer = call(
        sagemaker_local, "POST", "/", '{"NameContains": null}', X_Amz_Target="SageMaker.ListModels"
    )
    assert (status, "Models" in answer) == (200, True)


def test_an_unknown_page_of_the_control_api_is_404(sagemaker_local: LocalSageMaker) -> None:
    assert call(sagemaker_local, "GET", "/_local/nothing")[0] == 404


def test_object_bodies_of_all_kinds(sagemaker_local: LocalSageMaker) -> None:
    s3, bucket = sagemaker_local.client("s3"), sagemaker_local.bucket
    big = os.urandom(12_000_000)
    s3.put_object(Bucket=bucket, Key="server/whole", Body=big, ChecksumAlgorithm="SHA256")
    s3.upload_fileobj(io.BytesIO(big), bucket, "server/parts")
    s3.put_object(Bucket=bucket, Key="server/söme key+%2F&?", Body=b"odd", Metadata={"git_sha": "a", "run-id": "b"})
    for key in ("server/whole", "server/parts"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == big
    odd = s3.get_object(Bucket=bucket, Key="server/söme key+%2F&?")
    assert (odd["Body"].read(), odd["Metadata"]) == (b"odd", {"git_sha": "a", "run-id": "b"})
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "server/whole"})
    with urllib.request.urlopen(url) as response:  # noqa: S310
        assert response.read() == big


def test_a_chunked_upload(sagemaker_local: LocalSageMaker) -> None:
    """SDKs that do not know the length send `Transfer-Encoding: chunked`."""

    def pieces() -> Iterator[bytes]:
        for number in range(100):
            yield b"%d\n" % number

    connection = http.client.HTTPConnection("127.0.0.1", sagemaker_local.port, timeout=30)
    connection.request("PUT", f"/{sagemaker_local.bucket}/server/chunked", pieces(), encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()
    found = sagemaker_local.client("s3").get_object(Bucket=sagemaker_local.bucket, Key="server/chunked")
    assert found["Body"].read() == b"".join(pieces())


def test_the_aws_cli(sagemaker_local: LocalSageMaker, tmp_path: Path) -> None:
    def aws(*arguments: str) -> str:
        environment = sagemaker_local.environment()
        done = subprocess.run(
            [str(AWS), *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    file = tmp_path / "file.txt"
    file.write_text("content")
    url = f"s3://{sagemaker_local.bucket}/cli/file.txt"
    aws("s3", "cp", str(file), url)
    aws("s3", "cp", url, str(tmp_path / "copy.txt"))
    assert (tmp_path / "copy.txt").read_text() == "content"
    aws("sagemaker", "create-model-package-group", "--model-package-group-name", "cli")
    described = aws("sagemaker", "describe-model-package-group", "--model-package-group-name", "cli")
    assert json.loads(described)["ModelPackageGroupStatus"] == "Completed"
    assert "TrainingJobSummaries" in json.loads(aws("sagemaker", "list-training-jobs", "--name-contains", "no-such"))
    assert sagemaker_local.role_arn in aws("iam", "get-role", "--role-name", sagemaker_local.role_arn.split("/")[1])


def test_a_port_in_use_is_said_in_one_sentence(sagemaker_local: LocalSageMaker, tmp_path: Path) -> None:
    done = run("--port", str(sagemaker_local.port), "--state", str(tmp_path), "--python", sys.executable)
    assert done.returncode == 2
    assert done.stderr.startswith(f"sagemaker_local: port {sagemaker_local.port} of 127.0.0.1 is not free: ")
    assert done.stderr.count("\n") == 1


def test_other_bad_starts_are_said_in_one_sentence(sagemaker_local: LocalSageMaker, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    good = {"--port": str(free_port()), "--state": str(tmp_path / "state"), "--python": sys.executable}
    for option, value, complaint in (
        ("--python", "no/such/python", "the interpreter of the jobs, no/such/python, does not exist"),
        ("--state", str(file), f"the state directory {file} cannot be written"),
        ("--state", str(sagemaker_local.state), f"the state directory {sagemaker_local.state} is in use"),
        ("--host", "localhost", "--host localhost is not an IP address"),
    ):
        options = {**good, option: value}
        done = run(*[word for pair in options.items() for word in pair])
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"sagemaker_local: {complaint}")
        assert done.stderr.count("\n") == 1


def test_sigterm_ends_it_while_requests_run(make_sagemaker_local: Callable[..., LocalSageMaker]) -> None:
    server = make_sagemaker_local().start()
    sqs = server.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.putrequest("PUT", f"/{server.bucket}/never")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(b"half")
    assert server.health()["status"] == "ok"
    assert server.stop() == 0
    connection.close()
    server.start()
    assert server.client("sqs").list_queues()["QueueUrls"] == [queue]
    assert "Contents" not in server.client("s3").list_objects_v2(Bucket=server.bucket)
