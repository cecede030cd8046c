"""Requests that nobody would write, made from a seed: whole ones through a connection, and bytes that are none."""

# ruff: noqa: E501  (tables of odd values)
from __future__ import annotations

import json
import random
from dataclasses import dataclass
from urllib.parse import quote

import botocore.session

from include.sagemaker_local.operations.table import OPERATIONS

METHODS = (
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "POST",
    "PUT",
    "PUT",
    "HEAD",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "FOO",
)
SERVICES = {
    "s3": "s3",
    "iam": "iam",
    "sts": "sts",
    "logs": "logs",
    "events": "events",
    "monitoring": "cloudwatch",
    "ecr": "ecr",
    "sns": "sns",
    "sqs": "sqs",
    "kms": "kms",
    "ssm": "ssm",
    "secretsmanager": "secretsmanager",
    "application-autoscaling": "application-autoscaling",
    "tagging": "resourcegroupstaggingapi",
    "sagemaker": "sagemaker-runtime",
    "cloudformation": "cloudformation",
    "cognito-idp": "cognito-idp",
    "nonsense": "",
}
"""Signing name to botocore's name."""
PATHS = (
    "/", "//", "/bucket", "/fuzz", "/fuzz/key", "/fuzz/a/b", "/fuzz//", "/fuzz/..", "/%00", "/fuzz/%00", "/%ff%fe", "/fuzz/%zz",
    "/_local/health", "/_local/spot", "/_local/faults", "/_local/packages", "/_local/quotas", "/_local/jobs",
    "/_local/jobs/training/x", "/_local/jobs/a/b/c", "/_local/models", "/_local/models/x/1", "/_local/objects", "/_local/objects/fuzz/key",
    "/_local/objects/none/none", "/_local/objects//", "/_local/", "/_local/%00", "/moto-api/reset", "/moto-api/data.json",
    "/endpoints/none/invocations", "/endpoints/none/async-invocations", "/endpoints/%00/invocations", "/iam_us-east-1/",
    "/latest/meta-data/", "/favicon.ico", "/123456789012/queue", "/a_b/.well-known/jwks.json", "/fuzz/" + "k" * 1025,
)  # fmt: skip
QUERIES = (
    "", "", "", "acl", "tagging", "versioning", "versions", "uploads", "uploadId=x", "uploadId=x&partNumber=1", "list-type=2",
    "list-type=2&max-keys=-1", "list-type=2&max-keys=x", "partNumber=x", "versionId=x", "lifecycle", "cors", "policy", "location",
    "delete", "notification", "encryption", "website", "logging", "object-lock", "replication", "inventory", "attributes",
    "select&select-type=2", "restore", "Action=ListRoles&Version=2010-05-08", "Action=", "=", "&&&", "%ff=%00", "X-Amz-Signature=x",
    "prefix=%00", "delimiter=/&prefix=a", "continuation-token=x&list-type=2", "response-content-type=a%0d%0aB:%20c",
)  # fmt: skip
VALUES = (
    "",
    "x",
    "0",
    "-1",
    "1e999",
    "true",
    "null",
    "\u00e9",
    "a" * 300,
    "../..",
    "s3://fuzz/key",
    "arn:aws:iam::1:role/x",
    "*",
    "(a+)+$",
)
ODD: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1e300,
    "",
    "x",
    "\x00",
    "a" * 3000,
    [],
    {},
    [[]],
    [None],
    {"a": None},
    "s3://fuzz/key",
)
HEADERS = (
    "Range", "If-Match", "If-None-Match", "If-Modified-Since", "Content-MD5", "Content-Type", "Content-Encoding", "Expect-CT",
    "x-amz-acl", "x-amz-copy-source", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-meta-a_b", "x-amz-tagging",
    "x-amz-server-side-encryption", "x-amz-storage-class", "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm",
    "x-amz-object-lock-mode", "x-amz-website-redirect-location", "X-Amz-Date", "Accept", "Origin", "Sec-Fetch-Site", "User-Agent",
    "X-Amzn-SageMaker-Target-Variant", "X-Amzn-SageMaker-InputLocation", "X-Amzn-SageMaker-RequestTTLSeconds", "Forwarded",
    "X-HTTP-Method-Override", "Cookie", "smithy-protocol",
)  # fmt: skip
CONTENT_TYPES = (
    "application/x-amz-json-1.1", "application/x-amz-json-1.0", "application/json", "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain",
    "application/xml", "text/csv", "", "\u00e9", "application/cbor",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A request: what a client sends, and whether it is bytes that no client would send."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    raw: bytes = b""


class Maker:
    """Makes the n-th request of a seed, the same each time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        session = botocore.session.get_session()
        self._models = {signing: session.get_service_model(service) for signing, service in SERVICES.items() if service}
        self._sagemaker = session.get_service_model("sagemaker")
        self._all = list(self._sagemaker.operation_names)

    def make(self, number: int) -> Made:
        """The n-th request."""
        draw = random.Random(f"{self._seed}/{number}")  # noqa: S311
        kind = draw.choices(
            (self._sagemaker_call, self._aws_json, self._aws_query, self._rest, self._control, self._malformed),
            (30, 20, 10, 25, 8, 7),
        )[0]
        return kind(draw)

    def _sagemaker_call(self, draw: random.Random) -> Made:
        operation = draw.choice(draw.choice((sorted(OPERATIONS), sorted(OPERATIONS), self._all)))
        if draw.random() < 0.05:
            operation = draw.choice(("", "X", "..", "List Models", operation.lower()))
        model = self._sagemaker.operation_model(operation) if operation in self._all else None
        body = _json_for(draw, model.input_shape if model else None)
        headers = {**_headers(draw, few=True), "X-Amz-Target": f"SageMaker.{operation}", "Host": "127.0.0.1"}
        return Made(draw.choice(("POST", "POST", "POST", "GET")), "/", headers, body)

    def _aws_json(self, draw: random.Random) -> Made:
        signing = draw.choice([name for name, model in self._models.items() if "targetPrefix" in model.metadata])
        model = self._models[signing]
        operation = draw.choice(list(model.operation_names))
        headers = _headers(draw, few=True) | _signed(signing)
        headers["X-Amz-Target"] = f"{model.metadata['targetPrefix']}.{operation}"
        headers["Content-Type"] = draw.choice(CONTENT_TYPES[:3])
        return Made("POST", "/", headers, _json_for(draw, model.operation_model(operation).input_shape))

    def _aws_query(self, draw: random.Random) -> Made:
        signing = draw.choice(("iam", "sts", "sns", "cloudformation", "monitoring", "sqs", "nonsense"))
        model = self._models.get(signing)
        action = draw.choice(list(model.operation_names) if model else ["X"])
        shape = model.operation_model(action).input_shape if model else None
        names = ["Name", *(shape.members if shape else ())]
        fields = [f"Action={action}", "Version=2010-05-08"]
        fields += [f"{draw.choice(names)}={quote(draw.choice(VALUES))}" for _ in range(draw.randrange(6))]
        headers = _headers(draw, few=True) | _signed(signing) | {"Content-Type": CONTENT_TYPES[3]}
        return Made("POST", "/", headers, "&".join(fields).encode())

    def _rest(self, draw: random.Random) -> Made:
        signing = draw.choice(("s3", "s3", "s3", "sagemaker", "", *SERVICES))
        query = draw.choice(QUERIES)
        path = draw.choice(PATHS) + (f"?{query}" if query else "")
        headers = _headers(draw) | (_signed(signing) if signing else {})
        return Made(draw.choice(METHODS), path, headers, _body(draw))

    def _control(self, draw: random.Random) -> Made:
        path = draw.choice([path for path in PATHS if path.startswith("/_local")])
        body = draw.choice((_body(draw), _json_for(draw, None), json.dumps(_switches(draw)).encode()))
        return Made(draw.choice(METHODS), path, _headers(draw, few=True), body)

    def _malformed(self, draw: random.Random) -> Made:
        host = b"Host: 127.0.0.1\r\n"
        chunked = b"Transfer-Encoding: chunked\r\n\r\n"
        whole = b"PUT /fuzz/raw HTTP/1.1\r\n" + host
        request = draw.choice(
            (
                draw.randbytes(draw.randrange(1, 300)),
                whole
                + b"Content-Length: "
                + draw.choice((b"-1", b"x", b"1, 2", b"0x1", b"9" * 40, b"+1"))
                + b"\r\n\r\na",
                whole
                + chunked
                + draw.choice((b"zz\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"fffffffffffffffff\r\n", b"0\r\nx\r\n\r\n")),
                whole + b"Content-Length: 3\r\n" + chunked + b"0\r\n\r\n",
                b"GET / HTTP/" + draw.choice((b"0.9", b"2.0", b"1.2", b"x", b"")) + b"\r\n" + host + b"\r\n",
                b"GET "
                + draw.choice((b"*", b"x", b"http://a/b", b"\xff", b"/\x00", b"/ a", b"//", b"?"))
                + b" HTTP/1.1\r\n"
                + host
                + b"\r\n",
                b"GET / HTTP/1.1\r\n"
                + host
                + draw.choice((b": x", b"a b: c", b"x", b"X:\x00", b"X: \xff", b" folded: x"))
                + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\n"
                + draw.choice((b"", host * 2, b"Host: \r\n", b"Host: a b\r\n", b"Host: [::1\r\n"))
                + b"\r\n",
                b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * draw.choice((8_000, 70_000, 500_000)) + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\n"
                + host
                + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            )
        )
        return Made("", "", {}, b"", raw=request)


def _signed(service: str) -> dict[str, str]:
    scope = f"Credential=fuzz/20260101/us-east-1/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}


def _headers(draw: random.Random, *, few: bool = False) -> dict[str, str]:
    count = draw.randrange(2 if few else 4)
    names = [name for name in draw.sample(HEADERS, count) if not (few and name in ("Origin", "Sec-Fetch-Site"))]
    found = {name: draw.choice(VALUES) for name in names}
    if draw.random() < 0.5:
        found["Content-Type"] = draw.choice(CONTENT_TYPES)
    if draw.random() < 0.02:
        found["Host"] = draw.choice(("evil.example", "bucket.localhost", "[::1]:1", "x" * 300))
    return found


def _json_for(draw: random.Random, shape: object) -> bytes:
    """JSON that is nearly right, or not at all."""
    if draw.random() < 0.1:
        return _body(draw)
    if shape is None or draw.random() < 0.1:
        names = ("Name", "name", "logGroupName", "QueueUrl", "KeyId", "SecretId", "AlarmName", "NextToken", "a")
        return json.dumps({draw.choice(names): draw.choice(ODD) for _ in range(draw.randrange(4))}).encode()
    return json.dumps(_value(draw, shape, 0)).encode()


def _value(draw: random.Random, shape: object, depth: int) -> object:
    """A value of about this shape of botocore's; the deeper, the likelier it is something else."""
    if draw.random() < 0.06 or depth > 6:
        return draw.choice(ODD)
    kind = shape.type_name  # type: ignore[attr-defined]
    if kind == "structure":
        required = set(shape.required_members)  # type: ignore[attr-defined]
        chosen = [name for name in shape.members if draw.random() < (0.95 if name in required else 0.2)]  # type: ignore[attr-defined]
        return {name: _value(draw, shape.members[name], depth + 1) for name in chosen}  # type: ignore[attr-defined]
    if kind == "list":
        return [_value(draw, shape.member, depth + 1) for _ in range(draw.randrange(3))]  # type: ignore[attr-defined]
    if kind == "map":
        return {draw.choice(VALUES[:6]): _value(draw, shape.value, depth + 1)}  # type: ignore[attr-defined]
    if kind == "string":
        allowed = shape.metadata.get("enum")  # type: ignore[attr-defined]
        return draw.choice(allowed) if allowed else draw.choice((*VALUES, "fuzz", "fuzz", "fuzz"))
    return {"boolean": True, "timestamp": 1.5}.get(kind, draw.choice((0, 1, 2, 60, -1, 10**12)))


def _switches(draw: random.Random) -> dict[str, object]:
    """Settings of the control API, wrong in most ways; none that makes calls fail on purpose."""
    names = ("rules", "seed", "lose_answer", "fail_rollback", "fail", "interruptions_per_hour", "discount", "x")
    return {draw.choice(names): draw.choice((*ODD[:2], "x", [], [{}], [{"job": 1}], {"a": 1}, -1)) for _ in range(2)}


def _body(draw: random.Random) -> bytes:
    return draw.choice(
        (
            b"", b"", b"{}", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 5000, b"<a/>", b"<a><b></a>", b"a=b", b"Action=ListRoles",
            b"--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--x--", b"5\r\nhello\r\n0\r\n\r\n",
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', draw.randbytes(200), b"a" * 100_000,
            b"<Delete><Object><Key>a</Key></Object></Delete>", b"<VersioningConfiguration><Status>x</Status></VersioningConfiguration>",
        )
    )  # fmt: skip
