"""Who is answered and who is not: names, browsers and programs, as bare requests."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import pytest

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.guard import Guard, secured
from tests.conftest import LocalSageMaker

CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def ask(server: LocalSageMaker, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body of a request with exactly these headers, and a Host."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def environ(**given: str) -> dict[str, Any]:
    """A program's request, but for what is given."""
    return {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "127.0.0.1:5005", **given}


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("127.0.0.1:5005", True),
        ("127.0.0.1", True),
        ("192.168.1.7:5005", True),
        ("[::1]:5005", True),
        ("localhost:5005", True),
        ("LOCALHOST", True),
        ("bucket.localhost:5005", True),
        ("local-sagemaker:5005", True),
        ("bucket.local-sagemaker", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example.:5005", False),
        ("notlocalhost", False),
        ("localhost.evil.example", False),
        ("s3.amazonaws.com", False),
    ],
)
def test_only_known_names_and_addresses(host: str, accepted: bool) -> None:
    guard = Guard(["local-sagemaker"])
    if accepted:
        guard.check(environ(HTTP_HOST=host))
        return
    with pytest.raises(AwsError) as refused:
        guard.check(environ(HTTP_HOST=host))
    assert refused.value.status == 403
    assert "--allow-host" in refused.value.message


@pytest.mark.parametrize("host", ["", "a b", "localhost/", "user@localhost", "127.0.0.1,evil.example", "[::1", "a:b"])
def test_what_is_no_host_is_a_bad_request(host: str) -> None:
    with pytest.raises(AwsError) as refused:
        Guard().check(environ(HTTP_HOST=host))
    assert refused.value.status == 400


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://evil.example", "null", "http://127.0.0.1:5005"])
def test_no_origin_may_use_it(origin: str) -> None:
    with pytest.raises(AwsError, match="may not use"):
        Guard().check(environ(HTTP_ORIGIN=origin, PATH_INFO="/_local/jobs"))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none"])
def test_a_browser_may_open_pages_only(site: str) -> None:
    guard = Guard()
    metadata = {"HTTP_SEC_FETCH_SITE": site, "HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}
    guard.check(environ(PATH_INFO="/_local/jobs", **metadata))
    for other in (
        {"PATH_INFO": "/bucket/key"},
        {"REQUEST_METHOD": "POST"},
        {"REQUEST_METHOD": "PUT"},
        {"HTTP_SEC_FETCH_DEST": "iframe"},
        {"HTTP_SEC_FETCH_DEST": "script", "HTTP_SEC_FETCH_MODE": "no-cors"},
        {"HTTP_SEC_FETCH_DEST": "empty", "HTTP_SEC_FETCH_MODE": "cors"},
    ):
        with pytest.raises(AwsError, match="A browser may open"):
            guard.check(environ(**{"PATH_INFO": "/_local/jobs", **metadata, **other}))


def test_a_browser_is_known_without_metadata_too() -> None:
    """Browsers leave Sec-Fetch-* out where the name is not loopback and the scheme not https."""
    Guard().check(environ(PATH_INFO="/_local/jobs", HTTP_USER_AGENT=CHROMIUM))
    with pytest.raises(AwsError):
        Guard().check(environ(PATH_INFO="/bucket/key", HTTP_USER_AGENT=CHROMIUM))


def test_a_reply_is_shared_with_nobody() -> None:
    given = [("Access-Control-Allow-Origin", "*"), ("content-security-policy", "default-src 'self'"), ("ETag", "1")]
    headers = dict(secured(given))
    assert headers["content-security-policy"] == "default-src 'self'"
    assert headers["ETag"] == "1"
    assert (headers["X-Frame-Options"], headers["Cross-Origin-Resource-Policy"]) == ("DENY", "same-origin")
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_every_service_refuses_a_page(sagemaker_local: LocalSageMaker) -> None:
    bucket = sagemaker_local.bucket
    for method, path in (("OPTIONS", "/"), ("GET", "/_local/jobs"), ("PUT", f"/{bucket}/key"), ("POST", "/")):
        status, headers, _ = ask(sagemaker_local, method, path, Origin="http://127.0.0.1:1")
        assert status == 403
        assert not [name for name in headers if name.lower().startswith("access-control")]
    assert ask(sagemaker_local, "OPTIONS", f"/{bucket}")[0] == 405


def test_moto_is_not_reset(sagemaker_local: LocalSageMaker) -> None:
    for path in ("/moto-api/reset", "//moto-api/reset", "/%6doto-api/reset", "/moto-api", "/moto-api/data.json"):
        assert ask(sagemaker_local, "POST", path)[0] in (400, 404)
    assert sagemaker_local.client("s3").list_buckets()["Buckets"]


def test_no_reply_of_moto_allows_another_origin(sagemaker_local: LocalSageMaker) -> None:
    """moto's flask-cors says `Access-Control-Allow-Origin: *` of everything."""
    status, headers, _ = ask(sagemaker_local, "GET", f"/{sagemaker_local.bucket}")
    assert status == 200
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_a_person_is_told_on_a_page(sagemaker_local: LocalSageMaker) -> None:
    status, headers, content = ask(sagemaker_local, "GET", "/", Accept="text/html", **NAVIGATION)
    assert (status, headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert b"<h1>Refused</h1>" in content


def test_a_name_of_its_own(make_sagemaker_local: Callable[..., LocalSageMaker]) -> None:
    server = make_sagemaker_local()
    server.options = (*LocalSageMaker.options, "--allow-host", "box", "--allow-host", "sagemaker.lan")
    server.start()
    for host, status in (("box:5005", 200), ("sagemaker.lan", 200), ("other", 403)):
        assert ask(server, "GET", "/_local/health", Host=host)[0] == status
