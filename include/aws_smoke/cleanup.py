"""Deletes what a smoke run made, in the reverse order, however far it came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from include.aws_smoke.recorder import BUSY, Recorder, states
from include.aws_smoke.recording import Request

_GONE_CODES = frozenset({"ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket"})
_GONE_TEXTS = ("could not find", "not found", "does not exist", "doesn't exist")


@dataclass
class Cleanup:
    """What is to be deleted is noted before it is made: a request that is interrupted may have been carried out."""

    recorder: Recorder
    say: Callable[[str], None]
    _notes: list[tuple[str, Callable[[], None]]] = field(default_factory=list)

    def objects(self, bucket: str, prefix: str) -> None:
        """All objects below a prefix, with their versions."""
        self._note(f"objects s3://{bucket}/{prefix}", lambda: self._delete_objects(bucket, prefix))

    def job(self, kind: str, name: str) -> None:
        """A job of a kind (`Training`, `Processing`, `Transform`), and its logs."""
        self._note(f"{kind.lower()} job {name}", lambda: self._end_job(kind, name))

    def group(self, name: str) -> None:
        """A model package group."""
        self._delete(f"group {name}", "DeleteModelPackageGroup", {"ModelPackageGroupName": name})

    def package(self, arn: str) -> None:
        """A version."""
        self._delete(f"version {arn}", "DeleteModelPackage", {"ModelPackageName": arn})

    def model(self, name: str) -> None:
        """A model."""
        self._delete(f"model {name}", "DeleteModel", {"ModelName": name})

    def config(self, name: str) -> None:
        """An endpoint config."""
        self._delete(f"endpoint config {name}", "DeleteEndpointConfig", {"EndpointConfigName": name})

    def endpoint(self, name: str) -> None:
        """An endpoint, when nothing is under way at it, and its logs."""
        self._note(f"endpoint {name}", lambda: self._end_endpoint(name))

    def run(self) -> list[str]:
        """Delete everything, and go on after a failure; returns what is left, with the reason."""
        left = []
        for what, delete in reversed(self._notes):
            try:
                delete()
            except (ClientError, BotoCoreError, TimeoutError) as error:
                if not is_gone(error):
                    left.append(f"{what}: {error}")
        self._notes.clear()
        return left

    def _note(self, what: str, delete: Callable[[], None]) -> None:
        self._notes.append((what, delete))

    def _delete(self, what: str, operation: str, request: Request) -> None:
        self._note(what, lambda: self._send("sagemaker", operation, request))

    def _send(self, service: str, operation: str, request: Request) -> None:
        self.recorder.send(service, operation, request)

    def _end_job(self, kind: str, name: str) -> None:
        request, status = {f"{kind}JobName": name}, f"{kind}JobStatus"
        describe = f"Describe{kind}Job"
        if self.recorder.send("sagemaker", describe, request)[status] in BUSY:
            self.say(f"  stopping {kind.lower()} job {name}")
            self._send("sagemaker", f"Stop{kind}Job", request)
            states(self.recorder.send, describe, request, status, 900)
        if kind != "Transform":  # SageMaker has no operation that deletes those
            self._send("sagemaker", f"Delete{kind}Job", request)
        self._delete_streams(f"/aws/sagemaker/{kind}Jobs", name)

    def _delete_streams(self, group: str, prefix: str) -> None:
        request = {"logGroupName": group, "logStreamNamePrefix": prefix}
        for stream in self.recorder.send("logs", "DescribeLogStreams", request)["logStreams"]:
            self._send("logs", "DeleteLogStream", {"logGroupName": group, "logStreamName": stream["logStreamName"]})

    def _end_endpoint(self, name: str) -> None:
        request = {"EndpointName": name}
        states(self.recorder.send, "DescribeEndpoint", request, "EndpointStatus", 5400)
        self._send("sagemaker", "DeleteEndpoint", request)
        try:
            states(self.recorder.send, "DescribeEndpoint", request, "EndpointStatus", 1800)
        except ClientError as error:
            if not is_gone(error):
                raise
        self._send("logs", "DeleteLogGroup", {"logGroupName": f"/aws/sagemaker/Endpoints/{name}"})

    def _delete_objects(self, bucket: str, prefix: str) -> None:
        pages = self.recorder.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for item in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                self._send("s3", "DeleteObject", {"Bucket": bucket, "Key": item["Key"], "VersionId": item["VersionId"]})


def is_gone(error: Exception) -> bool:
    """Whether the error says that there is nothing to delete."""
    if not isinstance(error, ClientError):
        return False
    details = error.response["Error"]
    text = str(details.get("Message", "")).lower()
    return details.get("Code") in _GONE_CODES or any(words in text for words in _GONE_TEXTS)
