"""Writes of every kind at once, and the memory of which of them were acknowledged, for tests that kill the server."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.conftest import LocalSageMaker

GROUP = "/load"


class Writer:
    """One client that writes until the server goes away. `expected` is what a reader must find: what was acknowledged.

    `unsure` is the one write that was under way then: it may be there or not.
    """

    def __init__(self, server: LocalSageMaker, number: int) -> None:
        self.number = number
        self.acknowledged = 0
        self.objects: dict[str, bytes | None] = {}
        self.tags: dict[str, str | None] = {}
        self.roles: dict[str, str] = {}
        self.groups: set[str] = set()
        self.parameters: dict[str, str] = {}
        self.lines: list[str] = []
        self.unsure = ""
        self._server, self._bucket = server, server.bucket
        self._random = random.Random(number)  # noqa: S311  (no secret)
        self._names = 0

    def run(self, stop: threading.Event) -> None:
        """Write; returns when the server is gone or `stop` is set."""
        names = ("s3", "iam", "logs", "sagemaker", "ssm")
        self._clients = {name: self._server.client(name) for name in names}
        writes: list[Callable[[], None]] = [self._put] * 4 + [self._copy, self._delete, self._tag, self._upload]
        writes += [self._role, self._log, self._group, self._parameter]
        while not stop.is_set():
            try:
                self._random.choice(writes)()
            except (BotoCoreError, ClientError) as error:
                if isinstance(error, ClientError):
                    raise
                return
            self.acknowledged += 1
            self.unsure = ""

    def _begin(self, prefix: str) -> str:
        self._names += 1
        self.unsure = f"{prefix}-{self.number}-{self._names}"
        return self.unsure

    def _old(self) -> str | None:
        """An object that is there, or None."""
        there = [key for key, body in self.objects.items() if body is not None]
        self.unsure = self._random.choice(there) if there else ""
        return self.unsure or None

    def _body(self, key: str) -> bytes:
        return f"{key} {self._random.random()}".encode() * self._random.choice((1, 100, 5000))

    def _put(self) -> None:
        key = (self._random.random() < 0.3 and self._old()) or self._begin("object")
        body = self._body(key)
        self._clients["s3"].put_object(Bucket=self._bucket, Key=key, Body=body)
        self.objects[key], self.tags[key] = body, None

    def _copy(self) -> None:
        if source := self._old():
            key = self._begin("copy")
            self._clients["s3"].copy_object(
                Bucket=self._bucket, Key=key, CopySource={"Bucket": self._bucket, "Key": source}
            )
            self.objects[key], self.tags[key] = self.objects[source], self.tags[source]

    def _delete(self) -> None:
        if key := self._old():
            self._clients["s3"].delete_object(Bucket=self._bucket, Key=key)
            self.objects[key] = None

    def _tag(self) -> None:
        if key := self._old():
            value = str(self._random.random())
            tags = {"TagSet": [{"Key": "value", "Value": value}]}
            self._clients["s3"].put_object_tagging(Bucket=self._bucket, Key=key, Tagging=tags)
            self.tags[key] = value

    def _upload(self) -> None:
        key = self._begin("upload")
        s3, where = self._clients["s3"], {"Bucket": self._bucket, "Key": key}
        upload = s3.create_multipart_upload(**where)["UploadId"]
        body = self._body(key)
        etag = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=body)["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
        self.objects[key], self.tags[key] = body, None

    def _role(self) -> None:
        name, value = self._begin("role"), str(self._random.random())
        self._clients["iam"].create_role(RoleName=name, AssumeRolePolicyDocument="{}", Description=value)
        self.roles[name] = value

    def _log(self) -> None:
        if not self.lines:
            self._clients["logs"].create_log_stream(logGroupName=GROUP, logStreamName=str(self.number))
        line = self._begin("line")
        events = [{"timestamp": int(time.time() * 1000), "message": line}]
        self._clients["logs"].put_log_events(logGroupName=GROUP, logStreamName=str(self.number), logEvents=events)
        self.lines.append(line)

    def _group(self) -> None:
        name = self._begin("group")
        self._clients["sagemaker"].create_model_package_group(ModelPackageGroupName=name)
        self.groups.add(name)

    def _parameter(self) -> None:
        name, value = self._begin("parameter"), str(self._random.random())
        self._clients["ssm"].put_parameter(Name=name, Value=value, Type="String")
        self.parameters[name] = value

    def lost(self) -> list[str]:
        """The acknowledged writes that the server does not know any more; all are forgotten here then."""
        s3, iam, logs = (self._server.client(name) for name in ("s3", "iam", "logs"))
        sagemaker, ssm = self._server.client("sagemaker"), self._server.client("ssm")
        wrong = [key for key, body in self.objects.items() if self._read(s3, key) != (body, self.tags.get(key))]
        wrong += [name for name, value in self.roles.items() if _description(iam, name) != value]
        wrong += [name for name, value in self.parameters.items() if _parameter(ssm, name) != value]
        wrong += [name for name in self.groups if not _has_group(sagemaker, name)]
        if self.lines:
            names = {"logGroupName": GROUP, "logStreamName": str(self.number)}
            wrong += sorted(set(self.lines) - _messages(logs, names))
        return [name for name in wrong if name != self.unsure]

    def _read(self, s3: Any, key: str) -> tuple[bytes | None, str | None]:
        try:
            body = s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None, self.tags.get(key)
        tags = s3.get_object_tagging(Bucket=self._bucket, Key=key)["TagSet"]
        return body, tags[0]["Value"] if tags else None


def _description(iam: Any, name: str) -> str | None:
    try:
        return str(iam.get_role(RoleName=name)["Role"]["Description"])
    except iam.exceptions.NoSuchEntityException:
        return None


def _parameter(ssm: Any, name: str) -> str | None:
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return None


def _messages(logs: Any, names: dict[str, str]) -> set[str]:
    try:
        return {event["message"] for event in logs.get_log_events(**names, startFromHead=True)["events"]}
    except logs.exceptions.ResourceNotFoundException:
        return set()


def _has_group(sagemaker: Any, name: str) -> bool:
    try:
        return bool(sagemaker.describe_model_package_group(ModelPackageGroupName=name))
    except ClientError:
        return False


def kill_under_load(server: LocalSageMaker, number: int, writes: int) -> tuple[int, list[str]]:
    """Kill the server while four clients write, after so many writes, and start it again.

    Returns the number of acknowledged writes, and those of them that are lost.
    """
    stop = threading.Event()
    writers = [Writer(server, number * 100 + client) for client in range(4)]
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in writers]
    for thread in threads:
        thread.start()
    while sum(writer.acknowledged for writer in writers) < writes and any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
    server.kill()
    stop.set()
    for thread in threads:
        thread.join()
    server.start()
    lost = [json.dumps(name) for writer in writers for name in writer.lost()]
    return sum(writer.acknowledged for writer in writers), lost
