"""Malformed and unusual requests, on bare connections: the right refusal, at once, and the server goes on."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalSageMaker

PATIENCE_SECONDS = 10
HOST = b"Host: 127.0.0.1\r\n"


def raw(server: LocalSageMaker, request: bytes) -> tuple[int, bytes]:
    """The status and the rest of the first reply to these bytes; fails when there is none in time."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        return reply.status, reply.read()


def call(server: LocalSageMaker, target: str, body: str) -> tuple[int, Any]:
    """Status and parsed body of a JSON call."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    connection.request("POST", "/", body, {"X-Amz-Target": target})
    response = connection.getresponse()
    content = json.load(response)
    connection.close()
    return response.status, content


@pytest.mark.parametrize("body", ["[" * 5000 + "]" * 5000, '{"a":' * 5000 + "1" + "}" * 5000, "[" * 900 + "]" * 900])
def test_json_that_is_nested_too_deeply(sagemaker_local: LocalSageMaker, body: str) -> None:
    status, answer = call(sagemaker_local, "SageMaker.ListModels", body)
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_a_tag_that_is_nested_is_refused_with_what_it_is(sagemaker_local: LocalSageMaker) -> None:
    deep = '{"NameContains": ' + '{"a":' * 940 + "1" + "}" * 940 + "}"
    status, answer = call(sagemaker_local, "SageMaker.ListModels", deep)
    assert (status, answer["__type"]) == (400, "SerializationException")


@pytest.mark.parametrize(
    "request_",
    [
        b"PUT /test-bucket/never HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"PUT /test-bucket/never HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PUT /test-bucket/never HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
        b"PUT /test-bucket/never HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"PUT /test-bucket/never HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: a\r\n" % number for number in range(20_000)) + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
        b"CONNECT example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_refused_at_once(sagemaker_local: LocalSageMaker, request_: bytes) -> None:
    started = time.monotonic()
    status, _ = raw(sagemaker_local, request_)
    assert status == 400
    assert time.monotonic() - started < PATIENCE_SECONDS
    assert "Contents" not in sagemaker_local.client("s3").list_objects_v2(Bucket="test-bucket", Prefix="never")


def test_head_has_no_body_and_the_connection_goes_on(sagemaker_local: LocalSageMaker) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sagemaker_local.port, timeout=PATIENCE_SECONDS)
    sagemaker_local.client("s3").put_object(Bucket="test-bucket", Key="protocol/head", Body=b"12345")
    for path in ("/_local/health", "/_local/jobs", "/_local/nothing", "/_local/spot", "/test-bucket/protocol/none"):
        connection.request("GET", path)
        got = connection.getresponse()
        length = len(got.read())
        connection.request("HEAD", path)
        head = connection.getresponse()
        assert (head.status, head.read()) == (got.status, b""), path
        if path.startswith("/_local/") and path != "/_local/health":
            assert head.headers["Content-Length"] == str(length), path
    connection.close()
    size = sagemaker_local.client("s3").head_object(Bucket="test-bucket", Key="protocol/head")["ContentLength"]
    assert size == 5


def test_two_requests_at_once_on_a_connection(sagemaker_local: LocalSageMaker) -> None:
    request = b"GET /_local/health HTTP/1.1\r\n" + HOST
    with socket.create_connection(("127.0.0.1", sagemaker_local.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request + b"\r\n" + request + b"Connection: close\r\n\r\n")
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    assert content.count(b"HTTP/1.1 200 OK") == 2


def test_a_client_that_expects_100_continue(sagemaker_local: LocalSageMaker) -> None:
    """boto3 does so with every object: refused or not, nobody waits."""
    head = (
        b"PUT /test-bucket/protocol/expect HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", sagemaker_local.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(b"abc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    refused = head.replace(b"127.0.0.1", b"evil.example")
    assert raw(sagemaker_local, refused)[0] == 403


@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [
        ("cloudformation", "list_stacks", {}),
        ("apigateway", "get_rest_apis", {}),
        ("cognito-idp", "list_user_pools", {"MaxResults": 1}),
        ("braket", "search_jobs", {"filters": []}),
        ("ec2", "describe_instances", {}),
        ("route53", "list_hosted_zones", {}),
        ("dynamodb", "list_tables", {}),
        (
            "sagemaker-featurestore-runtime",
            "get_record",
            {"FeatureGroupName": "a", "RecordIdentifierValueAsString": "a"},
        ),
    ],
)
def test_services_that_are_not_there(
    sagemaker_local: LocalSageMaker, service: Any, operation: str, request_: dict[str, Any]
) -> None:
    session: Any = boto3.Session("test", "test", region_name="us-east-1")
    client = session.client(service, endpoint_url=sagemaker_local.url)
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**request_)
    response = caught.value.response
    assert response["Error"]["Code"] == "UnsupportedOperation"
    assert "is not implemented by the local SageMaker" in response["Error"]["Message"]
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["ResponseMetadata"]["RetryAttempts"]) == (501, 0)


def test_an_invocation_that_is_too_large(sagemaker_local: LocalSageMaker) -> None:
    runtime = sagemaker_local.client("sagemaker-runtime")
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(EndpointName="none", Body=b"a" * 6_291_457)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_text_of_others_does_not_become_a_header(sagemaker_local: LocalSageMaker) -> None:
    s3 = sagemaker_local.client("s3")
    s3.put_object(Bucket="test-bucket", Key="protocol/type", Body=b"1")
    url = s3.generate_presigned_url(
        "get_object",
        Params={"Bucket": "test-bucket", "Key": "protocol/type", "ResponseContentType": "a\r\nSet-Cookie: b=c"},
    )
    connection = http.client.HTTPConnection("127.0.0.1", sagemaker_local.port, timeout=PATIENCE_SECONDS)
    connection.request("GET", url.split(str(sagemaker_local.port), 1)[1])
    response = connection.getresponse()
    response.read()
    assert response.status != 500
    assert "Set-Cookie" not in response.headers
    connection.close()
