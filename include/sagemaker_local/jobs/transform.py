"""A transform job: the model's own serving container, asked for every part of the input, its answers put into S3."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from botocore.exceptions import ClientError

from include.sagemaker_local.containers.logs import LogStream
from include.sagemaker_local.containers.model_data import DeploymentError, unpack_model
from include.sagemaker_local.containers.model_server import Answer, ModelServer, NoResponseError, prepare_container
from include.sagemaker_local.containers.transfers import (
    BadGzipError,
    Fetch,
    JobError,
    NoObjectsError,
    download,
    encryption,
    join,
    objects_of,
    upload,
)
from include.sagemaker_local.context import Context
from include.sagemaker_local.jobs.execution import Cause, Execution
from include.sagemaker_local.jobs.job import TransformJob
from include.sagemaker_local.jobs.queue import JobQueue
from include.sagemaker_local.jobs.record import TRANSFORM
from include.sagemaker_local.jobs.transform_data import Batch, DataError, batches, parse_processing
from include.sagemaker_local.jobs.transform_settings import BatchSettings, container_environment
from include.sagemaker_local.s3_uri import split_s3

HEALTHY_SECONDS = 1800
CLIENT_ERROR = "ClientError: See job logs for more information"
ALGORITHM_ERROR = "AlgorithmError: See job logs for more information"


def no_objects(url: str, region: str, role: str) -> str:
    """AWS's sentence about an input that is not there."""
    return (
        f'No S3 objects found under S3 URL "{url}" given in input data source. Please ensure that the bucket exists in '
        f'the selected region ({region}), that objects exist under that S3 prefix, and that the role "{role}" has '
        f'"s3:ListBucket" permissions on bucket "{split_s3(url)[0]}".'
    )


class _StoppedError(Exception):
    """The user has stopped the job."""


@dataclass
class _Item:
    """One object of the input: where it came from, where its output waits, and why it failed."""

    source: Fetch
    output: Path
    failure: str | None = None


class TransformExecution(Execution[TransformJob]):
    """Runs one transform job."""

    kind = TRANSFORM
    log_group = "/aws/sagemaker/TransformJobs"

    def __init__(self, ctx: Context, name: str, queue: JobQueue) -> None:
        super().__init__(ctx, name, queue)
        self._cancelled = Event()
        self._instance = f"{name}/i-{uuid.uuid4().hex[:17]}-{int(time.time())}"
        self._data_log: LogStream | None = None
        self._processing = parse_processing(self.job)
        client = self.job.get("ModelClientConfig", {})
        self._seconds = client.get("InvocationsTimeoutInSeconds", 600)
        self._tries = 1 + client.get("InvocationsMaxRetries", 3)

    def request_stop(self) -> None:
        """The user stops the job: its container ends, and nothing of its output is stored."""
        self._cancelled.set()
        super().request_stop()

    def shut_down(self) -> None:
        """The server ends: so does the container."""
        self._cancelled.set()
        super().shut_down()

    def run(self) -> None:
        """Container, requests, outputs. The objects that could be transformed are stored even when others failed."""
        if self.take_turn() is not Cause.WAITED:
            self.record.end("Stopped", "Stopped", "")
            return
        self.fresh_instance()
        started = time.time()
        self.job = self.record.change(lambda body: body.update({"TransformStartTime": started}))
        items = self._items()
        server = self._start_server()
        self._data_log = LogStream(self.ctx, self.log_group, f"{self._instance}/data-log")
        try:
            self._wait_healthy(server)
            self._transform(server, items)
        except _StoppedError:
            self.record.end("Stopped", "Stopped", "")
            return
        finally:
            server.stop(0)
            self._data_log.close()
        self._upload(items)
        if failures := [item.failure for item in items if item.failure]:
            raise JobError(failures[0])
        self.record.end("Completed", "Completed", "")

    def _items(self) -> list[_Item]:
        source = self.job["TransformInput"]["DataSource"]["S3DataSource"]
        try:
            found = objects_of(self.s3, source["S3DataType"], source["S3Uri"])
        except NoObjectsError as error:
            raise JobError(self._missing(error.url)) from error
        return [_Item(fetch, self.directory / f"{number}.out") for number, fetch in enumerate(found)]

    def _missing(self, url: str) -> str:
        return f"ClientError: {no_objects(url, self.ctx.settings.region, self.job['_Role'])}"

    def _start_server(self) -> ModelServer:
        """Start the model's container: as on an endpoint, but for the variables that tell it of the batch."""
        container = self.job["_Container"]
        try:
            unpack_model(self.ctx, container["ModelDataUrl"], self.directory / "ml" / "model")
        except DeploymentError as error:
            raise JobError(f"ClientError: {error}") from error
        prepare_container(self.ctx, self.directory)
        environment = {**container["Environment"], **self.job.get("Environment", {}), **container_environment(self.job)}
        logs = LogStream(self.ctx, self.log_group, self._instance)
        server = ModelServer(self.ctx, self.directory, {**container, "Environment": environment}, logs)
        server.start()
        return server

    def _wait_healthy(self, server: ModelServer) -> None:
        healthy = server.wait_healthy(HEALTHY_SECONDS, self._cancelled)
        self._check_stopped()
        if not healthy:
            raise JobError(ALGORITHM_ERROR)

    def _check_stopped(self) -> None:
        if self.wait({Cause.WAITED: 0.0}) is Cause.STOPPED:
            raise _StoppedError

    def _transform(self, server: ModelServer, items: list[_Item]) -> None:
        """Send all requests, at most `concurrent` at once, and take the answers in the order of the input."""
        settings = BatchSettings.of(self.job, server.get("/execution-parameters"))
        self._note(str(settings))
        pending: deque[tuple[_Item, Batch, Future[Answer | None]]] = deque()
        with ThreadPoolExecutor(settings.concurrent, thread_name_prefix=self.name) as pool:
            try:
                for item, batch in self._requests(items, settings):
                    future = pool.submit(self._ask, server, batch.payload)
                    future.add_done_callback(lambda _: self.wake())
                    pending.append((item, batch, future))
                    if len(pending) >= settings.concurrent:
                        self._take(*pending.popleft())
                while pending:
                    self._take(*pending.popleft())
            except BaseException:
                server.stop(0)  # what still waits for an answer gets none
                pool.shutdown(cancel_futures=True)
                raise

    def _requests(self, items: list[_Item], settings: BatchSettings) -> Iterator[tuple[_Item, Batch]]:
        """The requests of all objects; the rest of an object that has failed is left out."""
        source = self.job["TransformInput"]
        for item in items:
            item.output.touch()
            try:
                file = self._download(item)
                for batch in batches(
                    file,
                    lines=source["SplitType"] == "Line",
                    single=settings.single,
                    limit=settings.payload_bytes,
                    processing=self._processing,
                ):
                    if item.failure:
                        break
                    yield item, batch
                file.unlink()
            except DataError as error:
                self._fail(item, CLIENT_ERROR, str(error))

    def _download(self, item: _Item) -> Path:
        bucket, key, _ = item.source
        gzipped = self.job["TransformInput"]["CompressionType"] == "Gzip"
        try:
            download(self.s3, [(bucket, key, "object")], self.directory / "input", gzipped=gzipped)
        except NoObjectsError as error:
            raise JobError(self._missing(error.url)) from error
        except BadGzipError as error:
            raise DataError(str(error)) from error
        return self.directory / "input" / "object"

    def _ask(self, server: ModelServer, payload: bytes) -> Answer | None:
        """The container's answer, asked again after errors that are the server's; None when there is none."""
        source, target = self.job["TransformInput"], self.job["TransformOutput"]
        headers = {
            "Content-Type": source.get("ContentType", "application/octet-stream"),
            "Accept": target.get("Accept", "*/*"),
        }
        answer = None
        for _ in range(self._tries):
            try:
                answer = server.invoke(payload, headers, self._seconds)
            except NoResponseError:
                answer = None
            if self._cancelled.is_set() or (answer is not None and answer.status < 500):
                break
        return answer

    def _take(self, item: _Item, batch: Batch, future: Future[Answer | None]) -> None:
        """Wait for one answer and add it to the output of its object."""
        if self.wait({}, lambda: Cause.WAITED if future.done() else None) is Cause.STOPPED:
            raise _StoppedError
        answer = future.result()
        if item.failure:
            return
        if answer is None:
            self._fail(item, ALGORITHM_ERROR, "Unable to get response from algorithm")
        elif answer.status >= 500:
            self._fail(item, ALGORITHM_ERROR, f"Bad HTTP status received from algorithm: {answer.status}", answer)
        elif answer.status >= 400:
            self._fail(item, CLIENT_ERROR, f"ClientError: {answer.status}", answer)
        else:
            try:
                self._write(item, batch, answer.body)
            except DataError as error:
                self._fail(item, CLIENT_ERROR, str(error))

    def _write(self, item: _Item, batch: Batch, body: bytes) -> None:
        if self._processing is not None:
            body = self._processing.output(batch.records, body)
        with item.output.open("ab") as output:
            output.write(body)
            if self.job["TransformOutput"]["AssembleWith"] == "Line" and not body.endswith(b"\n"):
                output.write(b"\n")

    def _fail(self, item: _Item, reason: str, what: str, answer: Answer | None = None) -> None:
        """The object has no output; the others go on."""
        item.failure = reason
        source = "/".join(item.source[:2])
        self._note(f"{source}: {what}")
        if answer is not None:
            for line in ("", "Message:", *answer.body.decode(errors="replace").splitlines()):
                self._note(f"{source}: {line}")

    def _note(self, line: str) -> None:
        now = datetime.now(UTC)
        if self._data_log is not None:
            self._data_log.write(f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}:[sagemaker logs]: {line}")

    def _upload(self, items: list[_Item]) -> None:
        target = self.job["TransformOutput"]
        for item in items:
            if item.failure:
                continue
            url = join(target["S3OutputPath"], f"{item.source[2]}.out")
            try:
                upload(self.s3, item.output, url, **encryption(target["KmsKeyId"]))
            except ClientError as error:
                raise JobError(f"ClientError: Failed to upload output to {url}: {error}") from error
