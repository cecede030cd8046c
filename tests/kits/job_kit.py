"""Runs tiny scripts as processing and training jobs on a local SageMaker, and waits for what they do."""

from __future__ import annotations

import io
import json
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import LocalSageMaker

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
OWN_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1"
"""An image of one's own, which may have MetricDefinitions."""
WAIT_SECONDS = 60
RUNNING = ("InProgress", "Stopping")
CODE = "/opt/ml/processing/input/code"
OUTPUT = "/opt/ml/processing/output"


def eventually(found: Callable[[], Any], what: str = "the condition") -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come true in {WAIT_SECONDS} s"
        time.sleep(0.02)
    return answer


def processes(marker: str) -> list[str]:
    """The command lines of the processes of this machine that contain the marker."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in command:
            found.append(command)
    return found


class Jobs:
    """Jobs on one server; names must be unique per server."""

    def __init__(self, server: LocalSageMaker) -> None:
        self.server = server
        self.sagemaker = server.client("sagemaker")
        self.s3 = server.client("s3")
        self.logs = server.client("logs")

    def put(self, key: str, body: str | bytes) -> str:
        """Put an object; returns its address."""
        self.s3.put_object(Bucket=self.server.bucket, Key=key, Body=body)
        return f"s3://{self.server.bucket}/{key}"

    def get(self, key: str) -> bytes:
        """An object's content."""
        content: bytes = self.s3.get_object(Bucket=self.server.bucket, Key=key)["Body"].read()
        return content

    def keys(self, prefix: str) -> list[str]:
        """The keys below a prefix, without it."""
        found = self.s3.list_objects_v2(Bucket=self.server.bucket, Prefix=prefix).get("Contents", [])
        return [item["Key"].removeprefix(prefix) for item in found]

    def processing_request(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """A complete request that runs the script, with `OUTPUT`/out uploaded to <name>/out."""
        code = self.put(f"{name}/code/run.py", script)
        request = {
            "ProcessingJobName": name,
            "RoleArn": self.server.role_arn,
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{CODE}/run.py"]},
            "ProcessingInputs": [self.input("code", code)],
            "ProcessingOutputConfig": {"Outputs": [self.output("out", f"{name}/out")]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
        }
        return request | changes

    def input(self, name: str, url: str, data_type: str = "S3Prefix", **more: str) -> dict[str, Any]:
        """A ProcessingInput at /opt/ml/processing/input/<name>."""
        source = {"S3Uri": url, "S3DataType": data_type, "S3InputMode": "File", **more}
        return {"InputName": name, "S3Input": {**source, "LocalPath": f"/opt/ml/processing/input/{name}"}}

    def output(self, name: str, key: str, mode: str = "EndOfJob") -> dict[str, Any]:
        """A ProcessingOutput of `OUTPUT`/<name>."""
        target = {"S3Uri": f"s3://{self.server.bucket}/{key}", "LocalPath": f"{OUTPUT}/{name}", "S3UploadMode": mode}
        return {"OutputName": name, "S3Output": target}

    def start_processing(self, name: str, script: str, **changes: Any) -> None:
        """Create the job."""
        self.sagemaker.create_processing_job(**self.processing_request(name, script, **changes))

    def process(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """Run the job to its end and return its description."""
        self.start_processing(name, script, **changes)
        return self.end_of_processing(name)

    def end_of_processing(self, name: str) -> dict[str, Any]:
        """Wait for the end of a processing job and return its description."""

        def ended() -> Any:
            job = self.sagemaker.describe_processing_job(ProcessingJobName=name)
            return job if job["ProcessingJobStatus"] not in RUNNING else None

        job: dict[str, Any] = eventually(ended, f"the end of {name}")
        return job

    def training_request(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """A complete request that runs the script as train.py in script mode."""
        source = self.put(f"{name}/sourcedir.tar.gz", archive({"train.py": script}))
        request = {
            "TrainingJobName": name,
            "RoleArn": self.server.role_arn,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "HyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": source},
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.server.bucket}/{name}/model"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        return request | changes

    def spot(self, name: str, longest: int = 600) -> dict[str, Any]:
        """The members that make a training request one for Spot, with checkpoints at <name>/checkpoints."""
        return {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": min(600, longest), "MaxWaitTimeInSeconds": longest},
            "CheckpointConfig": {"S3Uri": f"s3://{self.server.bucket}/{name}/checkpoints"},
        }

    def plain_container(self, name: str, script: str) -> dict[str, Any]:
        """The member that runs the script as the container's first process, without the training toolkit."""
        self.put(f"{name}/channel/run.py", script)
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.server.bucket}/{name}/channel/"}
        return {
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/run.py"],
                "ContainerArguments": [f"--marker={name}"],
            },
            "InputDataConfig": [{"ChannelName": "code", "DataSource": {"S3DataSource": source}}],
        }

    def start_training(self, name: str, script: str, **changes: Any) -> None:
        """Create the job."""
        self.sagemaker.create_training_job(**self.training_request(name, script, **changes))

    def train(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """Run the job to its end and return its description."""
        self.start_training(name, script, **changes)
        return self.end_of_training(name)

    def end_of_training(self, name: str) -> dict[str, Any]:
        """Wait for the end of a training job and return its description."""

        def ended() -> Any:
            job = self.sagemaker.describe_training_job(TrainingJobName=name)
            return job if job["TrainingJobStatus"] not in RUNNING else None

        job: dict[str, Any] = eventually(ended, f"the end of {name}")
        return job

    def log_streams(self, kind: str, name: str) -> list[list[str]]:
        """The lines of each log stream of a job, in the order of the streams; `kind` is Training or Processing."""
        group = f"/aws/sagemaker/{kind}Jobs"
        try:
            streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-")
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [self._lines(group, stream["logStreamName"]) for stream in streams["logStreams"]]

    def wait_for_line(self, kind: str, name: str, line: str) -> None:
        """Wait until a job has printed the line."""
        eventually(lambda: any(line in stream for stream in self.log_streams(kind, name)), f"the line {line!r}")

    def _lines(self, group: str, stream: str) -> list[str]:
        events = self.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]

    def spot_settings(self, settings: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """GET, or with settings PUT, `/_local/spot`: the HTTP status and the answer."""
        body = None if settings is None else json.dumps(settings).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{self.server.url}/_local/spot", data=body, method="GET" if body is None else "PUT"
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def archive(files: dict[str, str]) -> bytes:
    """A tar.gz of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, str]:
    """The files of a tar.gz."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        return {m.name: tar.extractfile(m).read().decode() for m in tar.getmembers() if m.isfile()}  # type: ignore[union-attr]
