"""Processing jobs really run: their inputs, their process, their outputs, and every way they end."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits.event_kit import events_of
from tests.kits.job_kit import CODE, OUTPUT, Jobs, eventually, processes

REPORT = f"""
import json, os, sys, urllib.request
from pathlib import Path
root = Path("/opt/ml")
report = {{
    "arguments": sys.argv[1:],
    "python": sys.executable,
    "environment": dict(os.environ),
    "files": sorted(str(path) for path in root.rglob("*") if path.is_file()),
    "config": json.loads((root / "config/processingjobconfig.json").read_text()),
    "resources": json.loads((root / "config/resourceconfig.json").read_text()),
}}
Path("{OUTPUT}/out/report.json").write_text(json.dumps(report))
Path("{OUTPUT}/out/sub").mkdir()
Path("{OUTPUT}/out/sub/more.txt").write_text("more")
os.symlink("{OUTPUT}/out/report.json", "{OUTPUT}/out/link.json")
(root / "output/message").write_text("all went well")
print("first line"); print(); print("last line")
"""


def test_a_script_runs_with_its_inputs_and_its_outputs_come_back(jobs: Jobs) -> None:
    manifest_head = {"prefix": f"s3://{jobs.server.bucket}/straight/raw/"}
    jobs.put("straight/raw/period=2013-10/a.csv", "10")
    jobs.put("straight/raw/period=2013-11/a.csv", "11")
    names = ["period=2013-10/a.csv", "period=2013-11/a.csv"]
    manifest = jobs.put("straight/manifest", json.dumps([manifest_head, *names]))
    request = jobs.processing_request("straight", REPORT, Environment={"COLOUR": "blue"})
    request["AppSpecification"]["ContainerArguments"] = ["--period", "2013-11"]
    request["ProcessingInputs"] += [jobs.input("raw", manifest, "ManifestFile")]
    jobs.sagemaker.create_processing_job(**request)
    job = jobs.end_of_processing("straight")

    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ExitMessage"] == "all went well"
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert jobs.keys("straight/out/") == ["report.json", "sub/more.txt"]  # AWS uploads no symbolic links
    report = json.loads(jobs.get("straight/out/report.json"))
    assert report["arguments"] == ["--period", "2013-11"]
    assert report["python"].endswith(".venv-jobs/bin/python3")
    assert report["files"] == [
        "/opt/ml/config/processingjobconfig.json",
        "/opt/ml/config/resourceconfig.json",
        f"{CODE}/run.py",
        "/opt/ml/processing/input/raw/period=2013-10/a.csv",
        "/opt/ml/processing/input/raw/period=2013-11/a.csv",
    ]
    assert report["environment"]["COLOUR"] == "blue"
    assert report["environment"]["AWS_ENDPOINT_URL"] == jobs.server.url
    assert "PYTHONPATH" not in report["environment"]  # nothing of the server's own environment
    assert report["config"]["ProcessingJobName"] == "straight"
    assert report["resources"] == {"current_host": "algo-1", "hosts": ["algo-1"]}
    assert jobs.log_streams("Processing", "straight") == [["first line", "last line"]]


@pytest.mark.aws_fact("failure-processing-script")
def test_a_script_that_exits_3_fails_the_job_and_keeps_its_outputs(jobs: Jobs) -> None:
    script = f"import sys; open('{OUTPUT}/out/partial.txt', 'w').write('x'); print('oh no'); sys.exit(3)"
    job = jobs.process("exit-3", script)
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: , exit code: 3"
    assert jobs.keys("exit-3/out/") == ["partial.txt"]
    assert jobs.log_streams("Processing", "exit-3") == [["oh no"]]


@pytest.mark.aws_fact("failure-processing-script")
def test_a_script_that_leaves_a_message_has_it_beside_the_reason(jobs: Jobs) -> None:
    job = jobs.process("exit-says", "import sys; open('/opt/ml/output/message', 'w').write('no rows'); sys.exit(3)")
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert job["ExitMessage"] == "no rows"


def test_a_script_killed_by_a_signal_has_an_exit_code_of_128_and_more(jobs: Jobs) -> None:
    job = jobs.process("signal", "import ctypes; ctypes.string_at(0)")
    assert job["FailureReason"].endswith("exit code: 139")


def test_an_entrypoint_that_does_not_exist_is_said_in_the_log(jobs: Jobs) -> None:
    request = jobs.processing_request("no-command", "")
    request["AppSpecification"]["ContainerEntrypoint"] = ["no-such-program"]
    jobs.sagemaker.create_processing_job(**request)
    job = jobs.end_of_processing("no-command")
    assert job["FailureReason"].endswith("exit code: 127")
    assert jobs.log_streams("Processing", "no-command") == [["cannot run no-such-program: No such file or directory"]]


@pytest.mark.parametrize(
    ("name", "url"), [("no-prefix", "s3://test-bucket/nothing/here/"), ("no-bucket", "s3://no-such-bucket-1/x")]
)
def test_a_missing_s3_prefix_fails_the_job_with_awss_reason(jobs: Jobs, name: str, url: str) -> None:
    request = jobs.processing_request(name, "print('never')")
    request["ProcessingInputs"] += [jobs.input("data", url)]
    jobs.sagemaker.create_processing_job(**request)
    job = jobs.end_of_processing(name)
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        f'ClientError: Failed to download data. No S3 objects found under S3 URL "{url}" given in input data source.'
    )
    assert jobs.log_streams("Processing", name) == []
    assert jobs.keys(f"{name}/out/") == []


def test_a_manifest_that_names_a_missing_object_fails_the_job(jobs: Jobs) -> None:
    manifest = jobs.put("gap/manifest", json.dumps([{"prefix": f"s3://{jobs.server.bucket}/gap/"}, "missing.csv"]))
    request = jobs.processing_request("gap", "")
    request["ProcessingInputs"] += [jobs.input("data", manifest, "ManifestFile")]
    jobs.sagemaker.create_processing_job(**request)
    assert f"s3://{jobs.server.bucket}/gap/missing.csv" in jobs.end_of_processing("gap")["FailureReason"]


def test_inputs_may_be_a_single_object_or_gzipped(jobs: Jobs) -> None:
    one = jobs.put("forms/one.csv", "1")
    jobs.put("forms/packed/two.csv.gz", gzip.compress(b"2"))
    packed = f"s3://{jobs.server.bucket}/forms/packed"
    script = f"""
from pathlib import Path
files = [p for name in ("one", "packed") for p in Path("/opt/ml/processing/input", name).iterdir()]
Path("{OUTPUT}/out/found.txt").write_text(" ".join(f"{{p.name}}={{p.read_text()}}" for p in files))
"""
    request = jobs.processing_request("forms", script)
    request["ProcessingInputs"] += [
        jobs.input("one", one, S3DataDistributionType="ShardedByS3Key"),
        jobs.input("packed", packed, S3CompressionType="Gzip"),
    ]
    jobs.sagemaker.create_processing_job(**request)
    assert jobs.end_of_processing("forms")["ProcessingJobStatus"] == "Completed"
    assert jobs.get("forms/out/found.txt") == b"one.csv=1 two.csv.gz=2"


def test_a_continuous_output_is_uploaded_while_the_script_runs(jobs: Jobs) -> None:
    script = f"""
import os, time
open("{OUTPUT}/out/early.txt", "w").write("early")
while not os.path.exists("{OUTPUT}/out/go"): time.sleep(0.05)
"""
    outputs = {"Outputs": [jobs.output("out", "continuous/out", "Continuous")]}
    jobs.start_processing("continuous", script, ProcessingOutputConfig=outputs)
    eventually(lambda: jobs.keys("continuous/out/") == ["early.txt"])
    assert jobs.sagemaker.describe_processing_job(ProcessingJobName="continuous")["ProcessingJobStatus"] == "InProgress"
    jobs.sagemaker.stop_processing_job(ProcessingJobName="continuous")
    assert jobs.end_of_processing("continuous")["ProcessingJobStatus"] == "Stopped"


def test_stop_sends_sigterm_and_the_job_is_stopped(jobs: Jobs) -> None:
    script = f"""
import signal, sys, time
def bye(*_):
    open("{OUTPUT}/out/bye.txt", "w").write("bye"); print("got SIGTERM"); sys.exit(0)
signal.signal(signal.SIGTERM, bye)
print("ready")
time.sleep(600)
"""
    jobs.start_processing("stop", script)
    jobs.wait_for_line("Processing", "stop", "ready")
    jobs.sagemaker.stop_processing_job(ProcessingJobName="stop")
    assert jobs.sagemaker.describe_processing_job(ProcessingJobName="stop")["ProcessingJobStatus"] != "InProgress"
    job = jobs.end_of_processing("stop")
    assert job["ProcessingJobStatus"] == "Stopped"
    assert "FailureReason" not in job
    assert jobs.log_streams("Processing", "stop") == [["ready", "got SIGTERM"]]
    assert jobs.keys("stop/out/") == ["bye.txt"]
    with pytest.raises(ClientError, match="rejected because the processing job is in status Stopped"):
        jobs.sagemaker.stop_processing_job(ProcessingJobName="stop")


def test_max_runtime_stops_a_job_that_ignores_sigterm_with_all_its_processes(jobs: Jobs) -> None:
    script = """
import subprocess, time
subprocess.Popen(["python3", "-c", "import time; time.sleep(600)", "max-runtime-child"], start_new_session=True)
time.sleep(600)
"""
    job = jobs.process("max-runtime", script, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert job["ProcessingJobStatus"] == "Stopped"
    assert processes("max-runtime-child") == []


@pytest.mark.aws_fact("processing-name-taken")
def test_a_name_is_used_once_until_it_is_deleted(jobs: Jobs) -> None:
    request = jobs.processing_request("twice", "")
    jobs.sagemaker.create_processing_job(**request)
    with pytest.raises(ClientError, match="Job name must be unique within an AWS account and region") as refused:
        jobs.sagemaker.create_processing_job(**request)
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
    jobs.end_of_processing("twice")
    jobs.sagemaker.delete_processing_job(ProcessingJobName="twice")
    with pytest.raises(ClientError, match="Could not find requested job with name: twice"):
        jobs.sagemaker.describe_processing_job(ProcessingJobName="twice")
    assert jobs.process("twice", "")["ProcessingJobStatus"] == "Completed"


def test_jobs_are_listed_newest_first_and_tagged(jobs: Jobs) -> None:
    for name in ("listed-a", "listed-b"):
        jobs.process(name, "", Tags=[{"Key": "team", "Value": "blue"}])
    listed = jobs.sagemaker.list_processing_jobs(NameContains="listed-", StatusEquals="Completed")
    assert [job["ProcessingJobName"] for job in listed["ProcessingJobSummaries"]] == ["listed-b", "listed-a"]
    arn = listed["ProcessingJobSummaries"][0]["ProcessingJobArn"]
    assert jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "blue"}]


def _bad_role(request: dict[str, Any]) -> None:
    request["RoleArn"] = "arn:aws:iam::123456789012:role/nobody"


def _bad_path(request: dict[str, Any]) -> None:
    request["ProcessingInputs"][0]["S3Input"]["LocalPath"] = "/opt/ml/input/code"


def _escaping_path(request: dict[str, Any]) -> None:
    request["ProcessingInputs"][0]["S3Input"]["LocalPath"] = "/opt/ml/processing/../../etc"


def _no_bucket(request: dict[str, Any]) -> None:
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = "s3://no-such-bucket-1/x"


def _same_input_twice(request: dict[str, Any]) -> None:
    request["ProcessingInputs"] *= 2


def _image_elsewhere(request: dict[str, Any]) -> None:
    request["AppSpecification"]["ImageUri"] = "docker.io/library/python:3.10"


def _two_inputs_in_one_folder(request: dict[str, Any]) -> None:
    request["ProcessingInputs"].append({**request["ProcessingInputs"][0], "InputName": "other"})


def _long_name(request: dict[str, Any]) -> None:
    request["ProcessingJobName"] = "n" * 70


@pytest.mark.aws_fact("processing-image-uri")
@pytest.mark.aws_fact("processing-inputs-one-folder")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_bad_role, "Could not assume role arn:aws:iam::123456789012:role/nobody"),
        (_bad_path, "LocalPath /opt/ml/input/code of input code is not valid: it must be under /opt/ml/processing/"),
        (_escaping_path, "is not valid: it must be under /opt/ml/processing/"),
        (_no_bucket, "Could not access the S3 bucket no-such-bucket-1"),
        (_same_input_twice, "InputName must be unique within a job, but code is given twice"),
        (_image_elsewhere, "Invalid image URI docker.io/library/python:3.10. Please provide a valid Amazon Elastic"),
        (_two_inputs_in_one_folder, r"CreateProcessingJob operation: $"),
        (_long_name, "at 'processingJobName' failed to satisfy constraint"),
    ],
)
def test_a_bad_request_is_refused_and_leaves_no_job(jobs: Jobs, spoil: Any, message: str) -> None:
    request = jobs.processing_request(f"refused{spoil.__name__.replace('_', '-')}", "")
    spoil(request)
    with pytest.raises(ClientError, match=message) as refused:
        jobs.sagemaker.create_processing_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    listed = jobs.sagemaker.list_processing_jobs(NameContains=request["ProcessingJobName"][:63])
    assert listed["ProcessingJobSummaries"] == []


@pytest.mark.aws_fact("processing-input-mode-required")
@pytest.mark.parametrize("member", ["LocalPath", "S3InputMode"])
def test_an_input_without_what_the_api_calls_optional_fails(jobs: Jobs, member: str) -> None:
    request = jobs.processing_request(f"without-{member.lower()}", "print(1)")
    del request["ProcessingInputs"][0]["S3Input"][member]
    jobs.sagemaker.create_processing_job(**request)
    job = jobs.end_of_processing(request["ProcessingJobName"])
    assert job["FailureReason"] == (
        "ClientError: Input code missing one or more required fields for SageMaker-managed S3Input: "
        '"LocalPath", "S3DownloadMode", "S3InputMode"'
    )


@pytest.mark.aws_fact("event-processing-capitals")
def test_an_event_spells_enumerations_in_capitals(jobs: Jobs) -> None:
    pattern = {"detail": {"ProcessingJobName": ["in-capitals"], "ProcessingJobStatus": ["Completed"]}}
    events = events_of(jobs.server, "capitals", pattern)
    jobs.process("in-capitals", "print(1)")
    [detail] = events(1)
    source = detail["ProcessingInputs"][0]["S3Input"]
    assert {name: source[name] for name in ("S3DataType", "S3InputMode", "S3DataDistributionType")} == {
        "S3DataType": "S3_PREFIX",
        "S3InputMode": "FILE",
        "S3DataDistributionType": "FULLYREPLICATED",
    }
    assert detail["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3UploadMode"] == "END_OF_JOB"
    assert detail["ExperimentConfig"] == {}
