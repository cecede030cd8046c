"""An AWS account as `doctor` wants it, in a local SageMaker, and a proxy that denies or fails what a test says."""

from __future__ import annotations

import io
import json
import re
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.errors import error_in_protocol
from sagemaker_retraining.cli.doctor import scope_of
from sagemaker_retraining.config import load_environment, load_model
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.findings import Check, Finding, Status, findings_of
from sagemaker_retraining.doctor.identity import Caller
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.period import Period
from sagemaker_retraining.requests.policies import policies, trust_policy
from tests.conftest import LocalSageMaker
from tests.kits.project import ExampleProject

ACCOUNT, REGION = "123456789012", "us-east-1"
REPOSITORY = "sagemaker-xgboost"
IMAGE = f"683313688378.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:3.0-5"
ENVIRONMENT = """\
environment: prod
region: us-east-1
account: "123456789012"
bucket: {bucket}
role_arn: arn:aws:iam::123456789012:role/{roles}-jobs
approver_conn_id: aws_approver
"""
MANIFEST = {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "schemaVersion": 2, "layers": []}
NEWEST = Period.of(datetime.now(UTC)).add(-1)


@cache
def _client(server: LocalSageMaker, service: str) -> Any:
    return server.client(service)


class World:
    """Everything is in order until a test breaks it; names are its own, so that worlds share a server."""

    def __init__(self, server: LocalSageMaker, folder: Path) -> None:
        self.server = server
        self.id = f"d{uuid.uuid4().hex[:8]}"
        self.bucket = f"{self.id}-bucket"
        self.text = ENVIRONMENT.format(bucket=self.bucket, roles=self.id)
        self.project = ExampleProject(folder)
        self.project.write_environment(self.text, "prod")
        (self.project.root / "environments" / "test.yaml").unlink()
        (self.project.root / "images.lock.yaml").write_text(f"xgboost:\n  3.0-5:\n    {REGION}: {IMAGE}\n")
        self.iam_folder()
        self.make_bucket()
        self.make_roles()
        self.make_image()
        for back in (1, 2, 3):
            self.deliver(NEWEST.add(1 - back))

    def iam_folder(self) -> None:
        """The example project has no policies of its own."""
        (self.project.root / "iam").symlink_to(Path(__file__).parents[2] / "include" / "iam")

    def client(self, service: str) -> Any:
        """Made once: a client of EC2 takes longer than all that a test asks of it."""
        return _client(self.server, service)

    def environment(self, more: str = "", model: str = "") -> None:
        """Add lines to prod.yaml, and what the model says differently there."""
        overrides = f"models:\n  demo_model: {model}\n" if model else ""
        self.project.write_environment(f"{self.text}{more}{overrides}", "prod")

    def make_bucket(self) -> None:
        s3, name = self.client("s3"), self.bucket
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        ways = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(ways, True))

    @property
    def dag_role(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{self.id}-airflow"

    @property
    def job_role(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{self.id}-jobs"

    def make_roles(self) -> None:
        where = load_environment("prod", self.project.root)
        trust = json.dumps(trust_policy(where, root=self.project.root))
        for name in ("airflow", "jobs"):
            self.client("iam").create_role(RoleName=f"{self.id}-{name}", AssumeRolePolicyDocument=trust)
        self.grant()

    def grant(self, **changes: Any) -> None:
        """Attach what include/iam says for the environment as it is now."""
        root = self.project.root
        made = policies(load_environment("prod", root), [load_model("demo_model", root, "prod")], root=root)
        for role, policy in (("airflow", "dag-role"), ("jobs", "job-role")):
            self.put_policy(role, made[policy])

    def put_policy(self, role: str, document: Any, name: str = "retraining") -> None:
        self.client("iam").put_role_policy(
            RoleName=f"{self.id}-{role}", PolicyName=name, PolicyDocument=json.dumps(document)
        )

    def make_image(self) -> None:
        ecr = self.client("ecr")
        if not [one for one in ecr.describe_repositories()["repositories"] if one["repositoryName"] == REPOSITORY]:
            ecr.create_repository(repositoryName=REPOSITORY)
            ecr.put_image(repositoryName=REPOSITORY, imageManifest=json.dumps(MANIFEST), imageTag="3.0-5")

    def deliver(self, month: Period) -> None:
        """Raw data of a month."""
        for name in ("flights.csv", "_SUCCESS"):
            key = f"demo_model/raw/period={month}/{name}"
            self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=b"x")

    def scope(self, dag_role: str | None = "") -> Scope:
        """What the checks get."""
        caller = Caller(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.id}-airflow/session")
        return scope_of(
            ["demo_model"], "prod", self.dag_role if dag_role == "" else dag_role, caller, self.project.root
        )

    def look(self, checks: Any, scope: Scope | None = None) -> list[Finding]:
        """What a family of checks finds."""
        found: Iterator[Check] = checks(Aws(REGION), scope or self.scope())
        return [finding for check in found for finding in findings_of(check)]


class _Proxy(BaseHTTPRequestHandler):
    """Passes requests on, but for those that a rule is about."""

    target: ClassVar[str]
    rules: ClassVar[dict[str, AwsError]]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service = (
            re.search(r"Credential=[^/]*/\d+/[^/]*/([^/]+)/", self.headers.get("Authorization", "")) or [""] * 2
        )[1]
        action = re.search(rb"(?:^|&)Action=(\w+)", body)
        name = action[1].decode() if action else self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        asked = {service, f"{service}:{name}", f"{service}:{self.path.partition('?')[2]}"}
        error = next((error for rule, error in self.rules.items() if rule in asked), None)
        if error:
            environ = {f"HTTP_{key.upper().replace('-', '_')}": value for key, value in self.headers.items()}
            environ |= {"CONTENT_TYPE": self.headers.get("Content-Type", ""), "wsgi.input": io.BytesIO(body)}
            self._send(*error_in_protocol(environ, service, error))
            return
        headers = {key: value for key, value in self.headers.items() if key.lower() not in {"content-length"}}
        url = f"{self.target}{self.path}"
        request = urllib.request.Request(url, body or None, headers, method=self.command)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                self._send(reply.status, list(reply.headers.items()), reply.read())
        except urllib.error.HTTPError as reply:
            self._send(reply.code, list(reply.headers.items()), reply.read())

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_HEAD = _answer


@contextmanager
def proxy(target: str, **rules: AwsError) -> Iterator[str]:
    """The address of a proxy in front of `target`. A rule is named after a service (as it signs), or
    `<service>:<operation>`, for S3 `s3:<query>`."""
    handler = type("Proxy", (_Proxy,), {"target": target, "rules": rules})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def set_quotas(server: LocalSageMaker, quotas: dict[str, int]) -> None:
    """Replace the quotas of the local SageMaker."""
    content = json.dumps({"quotas": quotas}).encode()
    request = urllib.request.Request(f"{server.url}/_local/quotas", content, method="PUT")  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def denied(action: str) -> AwsError:
    """As AWS words it."""
    message = (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/dev/jane is not authorized to perform: {action} on resource: * "
        f"because no identity-based policy allows the {action} action"
    )
    return AwsError("AccessDenied", message, status=403)


Fault = Callable[[World], Any]
"""What a test breaks in an account."""


def assert_wrong(found: list[Finding], subject: str, *said: str) -> None:
    """This subject is wrong for this reason; nothing else is."""
    lines = {finding.subject: finding.text for finding in found if finding.status == Status.WRONG}
    assert list(lines) == [subject], found
    assert [text for text in said if text not in lines[subject]] == [], lines[subject]


def assert_fine(found: list[Finding]) -> None:
    assert [finding for finding in found if finding.status != Status.OK] == []
    assert found
