"""What a web page can do to the local SageMaker from the developer's browser: nothing. Chromium tries every way in."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conftest import LocalSageMaker

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")

FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    # Newer Chromiums ask before a page reaches 127.0.0.1 at all; other browsers, and people who said yes, do not.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
]
SPOT = {"rules": [{"job": "evil", "after_seconds": 1}]}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
REPORT = f"""<!doctype html><title>report</title><h1>Report</h1><img id="plot" src="data:image/png;base64,{PIXEL}">
<script>document.title = "ran"; fetch("/_local/spot", {{method: "PUT", body: "{{}}"}});</script>"""

# Every way a page has to make a request; each answers what the page could read of the reply.
FETCH = """async ([url, options]) => {
    try { const reply = await fetch(url, options); return await reply.text(); } catch (error) { return ""; } }"""
FORM = """([url, kind, fields]) => new Promise(done => {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = "target"; frame.onload = () => done("");
    Object.assign(form, {action: url, method: "POST", enctype: kind, target: "target"});
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        Object.assign(input, {name, value}); form.append(input);
    }
    document.body.append(frame, form); form.submit(); })"""
LOAD = """([tag, url]) => new Promise(done => {
    const element = document.createElement(tag);
    element.onload = () => done(tag); element.onerror = () => done("");
    element.src = url; document.body.append(element); })"""
SOCKET = """url => new Promise(done => {
    const socket = new WebSocket(url);
    socket.onopen = () => done("open"); socket.onerror = () => done(""); })"""


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    """A web server of somebody else on this machine: an empty page at every address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = b"<!doctype html><body></body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium for which every name below .test is this machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def victim(sagemaker_local: LocalSageMaker) -> Iterator[LocalSageMaker]:
    """The server with things worth stealing; none of it may be gone, and nothing new may be there, afterwards."""
    s3, before = sagemaker_local.client("s3"), _state(sagemaker_local)
    s3.put_object(Bucket=sagemaker_local.bucket, Key="safety/report.html", Body=REPORT.encode())
    s3.put_object(Bucket=sagemaker_local.bucket, Key="safety/secret.js", Body=b"stolen = 'secret'")
    yield sagemaker_local
    assert _state(sagemaker_local) == before
    body = s3.get_object(Bucket=sagemaker_local.bucket, Key="safety/secret.js")["Body"].read()
    assert body == b"stolen = 'secret'"


def _state(server: LocalSageMaker) -> Any:
    """What the attacks of this file want to change."""
    roles = server.client("iam").list_roles()["Roles"]
    return (
        server.client("sagemaker").list_processing_jobs(NameContains="evil")["ProcessingJobSummaries"],
        [role["RoleName"] for role in roles if role["RoleName"] in ("evil", server.role_arn.split("/")[1])],
        _spot(server),
    )


def _spot(server: LocalSageMaker) -> Any:
    with urllib.request.urlopen(f"{server.url}/_local/spot") as reply:  # noqa: S310
        return json.load(reply)


@pytest.fixture(params=["another port", "another name", "rebound name"])
def page(request: Any, browser: Any, victim: LocalSageMaker, foreign_port: int) -> Iterator[Any]:
    """A page of somebody else, and as `page.victim` the address at which it finds the local SageMaker.

    `rebound name`: the name the page came from is now the server's, so that to the browser both are one origin.
    """
    origin, port = {
        "another port": ("127.0.0.1", foreign_port),
        "another name": ("evil.test", foreign_port),
        "rebound name": ("rebound.test", victim.port),
    }[request.param]
    context = browser.new_context()
    page = context.new_page()
    home = f"http://{origin}:{port}/attack"
    if origin == "rebound.test":
        page.route(home, lambda route: route.fulfill(body="<!doctype html><body></body>", content_type="text/html"))
    page.goto(home)
    same = request.param == "rebound name"
    page.victim = f"http://rebound.test:{victim.port}" if same else victim.url
    yield page
    context.close()


def job(server: LocalSageMaker) -> str:
    """A processing job that runs a shell: what nobody but the developer may start."""
    return json.dumps(
        {
            "ProcessingJobName": "evil",
            "RoleArn": server.role_arn,
            "AppSpecification": {"ImageUri": "any", "ContainerEntrypoint": ["sh", "-c", "true"]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
        }
    )


def test_fetch_runs_no_command_and_reads_nothing(page: Any, victim: LocalSageMaker) -> None:
    command = {"method": "POST", "headers": {"x-amz-target": "SageMaker.CreateProcessingJob"}, "body": job(victim)}
    reading = {"method": "POST", "headers": {"x-amz-target": "SageMaker.ListTrainingJobs"}, "body": "{}"}
    for path, options in (
        ("/", command),
        ("/", reading),
        ("/_local/spot", {"method": "PUT", "body": json.dumps(SPOT)}),
        ("/_local/spot", {}),
        ("/_local/jobs", {}),
        (f"/_local/objects/{victim.bucket}/safety/secret.js", {}),
        (f"/{victim.bucket}/safety/secret.js", {}),
        (f"/{victim.bucket}", {"method": "DELETE"}),
        ("/", {"method": "OPTIONS"}),
    ):
        read = page.evaluate(FETCH, [page.victim + path, options])
        assert not read or "AccessDenied" in read, (path, options, read)


def test_requests_without_preflight_change_nothing(page: Any, victim: LocalSageMaker) -> None:
    for path, body in (
        ("/moto-api/reset", ""),
        ("/_local/spot", json.dumps(SPOT)),
        ("/iam_us-east-1/", "Action=CreateRole&RoleName=evil&AssumeRolePolicyDocument={}&Version=2010-05-08"),
        (f"/{victim.bucket}/safety/secret.js?x-id=PutObject", "mine"),
    ):
        options = {"method": "POST", "mode": "no-cors", "body": body}
        read = page.evaluate(FETCH, [page.victim + path, options])
        assert not read or "AccessDenied" in read, path


def test_forms_change_nothing(page: Any, victim: LocalSageMaker) -> None:
    for path, kind, fields in (
        ("/moto-api/reset", "application/x-www-form-urlencoded", {}),
        ("/", "text/plain", {job(victim): ""}),
        (
            "/iam_us-east-1/",
            "application/x-www-form-urlencoded",
            {"Action": "CreateRole", "RoleName": "evil", "AssumeRolePolicyDocument": "{}", "Version": "2010-05-08"},
        ),
        (f"/{victim.bucket}", "multipart/form-data", {"key": "safety/secret.js", "file": "mine"}),
    ):
        page.evaluate(FORM, [page.victim + path, kind, fields])


def test_pictures_scripts_and_frames_get_nothing(page: Any, victim: LocalSageMaker) -> None:
    role = "/iam_us-east-1/?Action=CreateRole&RoleName=evil&AssumeRolePolicyDocument={}&Version=2010-05-08"
    secret = f"/_local/objects/{victim.bucket}/safety/secret.js"
    for tag, path in (("img", role), ("script", secret), ("script", f"/{victim.bucket}/safety/secret.js")):
        assert page.evaluate(LOAD, [tag, page.victim + path]) == ""
    assert page.evaluate("typeof stolen") == "undefined"
    for path in ("/_local/jobs", f"/_local/objects/{victim.bucket}/safety/report.html", role):
        page.evaluate(LOAD, ["iframe", page.victim + path])
        framed = [frame.content() for frame in page.frames[1:]]
        assert not [html for html in framed if "Jobs" in html or "Report" in html or "CreateRole" in html], path


def test_no_web_socket_opens(page: Any) -> None:
    assert page.evaluate(SOCKET, page.victim.replace("http:", "ws:") + "/") == ""


def test_a_link_to_anything_but_a_page_is_refused(page: Any, victim: LocalSageMaker) -> None:
    for path in (
        "/iam_us-east-1/?Action=CreateRole&RoleName=evil&AssumeRolePolicyDocument={}&Version=2010-05-08",
        f"/{victim.bucket}/safety/report.html",
        "/moto-api/",
    ):
        reply = page.goto(page.victim + path)
        assert reply.status in (403, 404), path


def test_a_link_to_a_page_opens_unless_the_name_is_foreign(page: Any) -> None:
    reply = page.goto(page.victim + "/_local/jobs")
    if "rebound" in page.victim:
        assert reply.status == 403
    else:
        assert (reply.status, page.inner_text("h1")) == (200, "Jobs")


def test_a_page_of_the_server_itself_cannot_use_it_either(browser: Any, victim: LocalSageMaker) -> None:
    """What a report from S3 could do if it escaped its sandbox."""
    page = browser.new_page()
    page.goto(f"{victim.url}/_local/jobs")
    for path, options in (("/_local/spot", {"method": "PUT", "body": "{}"}), ("/_local/jobs", {})):
        with pytest.raises(Exception, match="Failed to fetch"):  # its own policy forbids connections
            page.evaluate("([url, options]) => fetch(url, options)", [victim.url + path, options])
    page.close()


def test_a_report_shows_its_pictures_and_runs_no_script(browser: Any, victim: LocalSageMaker) -> None:
    page = browser.new_page()
    page.goto(f"{victim.url}/_local/objects/{victim.bucket}/safety/report.html")
    assert page.title() == "report"
    assert page.locator("#plot").evaluate("image => image.naturalWidth") == 1
    page.close()
