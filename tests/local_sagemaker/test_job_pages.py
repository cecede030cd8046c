"""The pages about jobs: what a person finds there, and that nothing in a job becomes part of the page."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from html import unescape
from urllib.parse import quote

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.job_kit import OWN_IMAGE, Jobs, eventually

EVIL = '<script>alert("1")</script>'
TRAIN = """
import os, pathlib, time
folder = pathlib.Path("/opt/ml/checkpoints")
first = not list(folder.glob("*"))
print("first attempt" if first else "second attempt", flush=True)
(folder / "1").write_text("x")
while first:
    time.sleep(1)
print('<script>alert("1")</script>', "auc=0.75", flush=True)
"""


def get(jobs: Jobs, path: str, method: str = "GET") -> tuple[int, str, str]:
    """A page: the status, the content type, and the HTML."""
    connection = http.client.HTTPConnection("127.0.0.1", jobs.server.port, timeout=30)
    connection.request(method, path)
    response = connection.getresponse()
    html = response.read().decode()
    connection.close()
    return response.status, response.headers["Content-Type"], html


def shown(html: str) -> str:
    """The text of a page as a reader sees it, on one line."""
    body = html.split("<body>", 1)[1]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def page(jobs: Jobs, kind: str, name: str) -> str:
    """The HTML of an existing job's page, which holds no script whatever the job says."""
    status, content_type, html = get(jobs, f"/_local/jobs/{kind}/{name}")
    assert (status, content_type) == (200, "text/html; charset=utf-8")
    assert "<script" not in html
    return html


def test_an_interrupted_training_job(jobs: Jobs) -> None:
    name = "pages-spot"
    rule = {"job": name, "after_checkpoints": 1, "gap_seconds": 0.1, "times": 1}
    assert jobs.spot_settings({"rules": [rule]})[0] == 200
    definitions = [{"Name": "test:auc", "Regex": "auc=([0-9.]+)"}]
    algorithm = {"TrainingImage": OWN_IMAGE, "MetricDefinitions": definitions}
    request = jobs.training_request(name, TRAIN, **jobs.spot(name), Environment={"NOTE": EVIL})
    request["AlgorithmSpecification"] |= algorithm
    jobs.sagemaker.create_training_job(**request, Tags=[{"Key": "team", "Value": "risk"}])
    job = jobs.end_of_training(name)
    jobs.spot_settings({})
    assert job["TrainingJobStatus"] == "Completed", job
    jobs.wait_for_line("Training", name, f"{EVIL} auc=0.75")
    html = page(jobs, "training", name)
    assert '<section id="log"' in html  # where the link to the job's log leads
    text = shown(html)
    for part in (
        f"{name} Completed",
        "Spot 1 interruption ",
        f"Training time {job['TrainingTimeInSeconds']} s",
        f"Billable time {job['BillableTimeInSeconds']} s",
        f"Spot savings {(1 - job['BillableTimeInSeconds'] / job['TrainingTimeInSeconds']) * 100:.0f} %",
        f"Model artefact {job['ModelArtifacts']['S3ModelArtifacts']}",
        f"Created {job['CreationTime']:%Y-%m-%d %H:%M:%S} UTC",
        "Spot instances were interrupted",
        "test:auc 0.75",
        "first attempt",
        "second attempt",
        f"{EVIL} auc=0.75",
        '"NOTE": "<script>alert(\\"1\\")</script>"',
        '"MaxWaitTimeInSeconds": 600',
        '"Value": "risk"',
    ):
        assert part in text
    assert text.count(f"{name}/algo-1-") == 2  # a log stream for each attempt
    assert text.index("first attempt") < text.index("second attempt")
    assert "SecondaryStatusTransitions" not in text  # the request is what was asked for, not the whole description


def test_a_failed_processing_job(jobs: Jobs) -> None:
    name = "pages-failed"
    script = f"""
import pathlib, sys
pathlib.Path("/opt/ml/output").mkdir(parents=True, exist_ok=True)
pathlib.Path("/opt/ml/output/message").write_text({EVIL!r})
sys.exit(3)
"""
    job = jobs.process(name, script)
    assert job["ProcessingJobStatus"] == "Failed"
    text = shown(page(jobs, "processing", name))
    assert f"{name} Failed" in text
    assert f"Failure reason {job['FailureReason']}" in text
    assert f"Exit message {EVIL}" in text
    assert "Nothing has been logged." in text
    assert "Transitions" not in text


def test_a_running_job_is_reloaded_and_an_ended_one_is_not(jobs: Jobs) -> None:
    name = "pages-running"
    jobs.start_processing(name, "import time; print('up', flush=True); time.sleep(600)")
    jobs.wait_for_line("Processing", name, "up")
    html = page(jobs, "processing", name)
    assert 'http-equiv="refresh"' in html
    assert f"{name} InProgress" in shown(html)
    jobs.sagemaker.stop_processing_job(ProcessingJobName=name)
    jobs.end_of_processing(name)
    html = page(jobs, "processing", name)
    assert 'http-equiv="refresh"' not in html
    assert f"{name} Stopped" in shown(html)


def test_only_the_end_of_a_long_log_is_shown(jobs: Jobs) -> None:
    name = "pages-long"
    jobs.process(name, "for number in range(1500): print('line', number)")
    jobs.wait_for_line("Processing", name, "line 1499")
    text = shown(page(jobs, "processing", name))
    assert "(the last 1000 lines)" in text
    assert "line 1499" in text
    assert "line 500 " in text
    assert "line 499 " not in text


def test_the_list_is_newest_first_and_links_to_the_jobs(jobs: Jobs) -> None:
    names = [f"pages-list-{number}" for number in range(3)]
    for name in names:
        jobs.start_processing(name, "print()")
    status, content_type, html = get(jobs, "/_local/jobs")
    assert (status, content_type) == (200, "text/html; charset=utf-8")
    links = [address for address in re.findall(r'href="([^"]*)"', html) if "pages-list" in address]
    assert links == [f"/_local/jobs/processing/{name}" for name in reversed(names)]
    assert [get(jobs, address)[0] for address in links] == [200] * 3
    for name in names:
        jobs.end_of_processing(name)


@pytest.mark.parametrize(
    "path",
    ["training/pages-none", "processing/pages-none", "nothing/pages-none", "training", "training/a/b", quote(EVIL)],
)
def test_an_unknown_job_is_404(jobs: Jobs, path: str) -> None:
    status, content_type, html = get(jobs, f"/_local/jobs/{path}")
    assert (status, content_type) == (404, "text/html; charset=utf-8")
    assert "<script" not in html
    assert "does not exist" in shown(html)


def test_a_deleted_job_is_404(jobs: Jobs) -> None:
    name = "pages-deleted"
    jobs.process(name, "print()")
    assert get(jobs, f"/_local/jobs/processing/{name}")[0] == 200
    jobs.sagemaker.delete_processing_job(ProcessingJobName=name)
    eventually(lambda: get(jobs, f"/_local/jobs/processing/{name}")[0] == 404, "the 404")
    assert f"/{name}" not in get(jobs, "/_local/jobs")[2]


def test_pages_can_only_be_read(jobs: Jobs) -> None:
    assert get(jobs, "/_local/jobs", "POST")[0] == 405


def test_a_server_without_jobs_says_so(make_sagemaker_local: Callable[..., LocalSageMaker]) -> None:
    fresh = Jobs(make_sagemaker_local().start())
    assert "No job has been created yet." in shown(get(fresh, "/_local/jobs")[2])
