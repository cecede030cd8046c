"""Asynchronous endpoints: requests wait in the store, workers take them to the container, answers go to S3 and SNS.

A request leaves the store only when its answer, or its failure, is where it belongs: a restart loses none, but the one
that was being answered is answered again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.sagemaker_local.containers.model_server import NoResponseError, Serving
from include.sagemaker_local.containers.transfers import encryption
from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints.async_request import AsyncRequest, Outcome, failed, notification, payload_of
from include.sagemaker_local.endpoints.deployment import Deployment
from include.sagemaker_local.endpoints.invoke import Call, Invoker, content_type
from include.sagemaker_local.endpoints.texts import TIMED_OUT
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.s3_uri import split_s3

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import AsyncInferenceConfigOutputTypeDef

log = logging.getLogger(__name__)

KIND = "async-invocation"
CONCURRENT = 4
"""Requests to a container at once when MaxConcurrentInvocationsPerInstance is not given; AWS chooses its own number."""

Acquire = Callable[[str], tuple[Deployment, str, Serving]]


class AsyncInvocations:
    """The queues of all asynchronous endpoints.

    `acquire` gives a serving container of an endpoint, to be released, and raises AwsError when there is none now.
    """

    def __init__(self, ctx: Context, invoker: Invoker, acquire: Acquire, closing: threading.Event) -> None:
        self._ctx = ctx
        self._invoker = invoker
        self._acquire = acquire
        self._closing = closing
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[AsyncRequest]] = defaultdict(deque)
        self._workers: dict[str, int] = defaultdict(int)
        self._concurrent: dict[str, int] = {}
        for request in ctx.store.list(KIND):
            if ctx.store.get("endpoint", request["Endpoint"]) is None:  # it came while the endpoint was deleted
                ctx.store.delete(KIND, request["Id"])
            else:
                self._waiting[request["Endpoint"]].append(request)

    def resume(self, endpoint: str, config: AsyncInferenceConfigOutputTypeDef | None) -> None:
        """The endpoint serves, with this AsyncInferenceConfig: answer what waits."""
        client = config.get("ClientConfig", {}) if config else {}
        concurrent = client.get("MaxConcurrentInvocationsPerInstance", CONCURRENT)
        with self._lock:
            self._concurrent[endpoint] = concurrent
        self._start_workers(endpoint)

    def submit(self, request: AsyncRequest, config: AsyncInferenceConfigOutputTypeDef) -> None:
        """Keep a request, made by `async_request.parse`; it is answered later."""
        self._ctx.store.insert(KIND, request["Id"], request)
        with self._lock:
            self._waiting[request["Endpoint"]].append(request)
        self.resume(request["Endpoint"], config)

    def forget(self, endpoint: str) -> None:
        """The endpoint is deleted, and with it what waits."""
        with self._lock:
            dropped = self._waiting.pop(endpoint, deque())
            self._concurrent.pop(endpoint, None)
        for request in dropped:
            self._ctx.store.delete(KIND, request["Id"])

    def _start_workers(self, endpoint: str) -> None:
        with self._lock:
            free = self._concurrent.get(endpoint, 0) - self._workers[endpoint]
            wanted = max(0, min(free, len(self._waiting[endpoint])))
            self._workers[endpoint] += wanted
        for _ in range(wanted):
            threading.Thread(target=self._work, args=(endpoint,), name=f"async-{endpoint}", daemon=True).start()

    def _work(self, endpoint: str) -> None:
        """Answer requests until none waits, or the endpoint does not serve."""
        while (request := self._next(endpoint)) is not None:
            try:
                self._process(request)
            except AwsError as error:
                self._put_back(request, comes_back=error.code == "ServiceUnavailable")
                return
            except Exception:
                log.exception("asynchronous request %s of endpoint %s is lost", request["InferenceId"], endpoint)
                self._ctx.store.delete(KIND, request["Id"])

    def _put_back(self, request: AsyncRequest, *, comes_back: bool) -> None:
        """The endpoint does not serve: it comes back, and `resume` starts workers again, or it is gone."""
        endpoint = request["Endpoint"]
        with self._lock:
            self._workers[endpoint] -= 1
            if comes_back:
                self._waiting[endpoint].appendleft(request)
        if not comes_back:
            self._ctx.store.delete(KIND, request["Id"])

    def _next(self, endpoint: str) -> AsyncRequest | None:
        """The request that waits longest; without one, this worker ends in the same moment."""
        with self._lock:
            waiting = self._waiting[endpoint]
            surplus = self._workers[endpoint] > self._concurrent.get(endpoint, 0)
            if not waiting or surplus or self._closing.is_set():
                self._workers[endpoint] -= 1
                return None
            return waiting.popleft()

    def _process(self, request: AsyncRequest) -> None:
        deployment, variant, server = self._acquire(request["Endpoint"])
        try:
            outcome = self._outcome(request, deployment, variant, server)
            if self._closing.is_set() and outcome.lost:
                return  # it was this server's end that cut it off: the next one answers it
            self._deliver(request, outcome)
            self._ctx.store.delete(KIND, request["Id"])
        finally:
            server.release()

    def _outcome(self, request: AsyncRequest, deployment: Deployment, variant: str, server: Serving) -> Outcome:
        if time.time() > request["ReceivedTime"] + request["RequestTTLSeconds"]:
            return failed("ClientError: The request has expired: it waited longer than RequestTTLSeconds.")
        try:
            payload = payload_of(self._ctx, request)
        except (ClientError, BotoCoreError) as error:
            return failed(f"ClientError: Failed to download the input {request.get('InputLocation')}: {error}")
        call = Call.sample(deployment, request["Headers"], payload, time.perf_counter())
        try:
            answer = self._invoker.ask(call, variant, server, request["InvocationTimeoutSeconds"])
        except NoResponseError as error:
            if error.timed_out:
                return failed(f"ClientError: {TIMED_OUT}")
            return failed("InternalServerError: The container ended before it answered.", lost=True)
        if answer.status >= 400:
            kind = "client" if answer.status < 500 else "server"
            reason = (
                f"ClientError: Received {kind} error ({answer.status}) from model. See the SageMaker Endpoint logs in "
                f"your account for more information."
            )
            return failed(reason, answer.body, content_type(answer))
        return Outcome(answer.body, content_type(answer))

    def _deliver(self, request: AsyncRequest, outcome: Outcome) -> None:
        """Object first, notification then: who hears of the answer finds it."""
        try:
            self._put(request, outcome)
        except (ClientError, BotoCoreError) as error:
            outcome = failed(f"ClientError: Failed to upload the response to S3: {error}")
        topic = request["Notification"].get("ErrorTopic" if outcome.failure else "SuccessTopic")
        if topic:
            try:
                message = notification(request, outcome, self._ctx.settings.region)
                self._ctx.client("sns").publish(TopicArn=topic, Message=message)
            except (ClientError, BotoCoreError) as error:
                log.warning("asynchronous request %s: no notification to %s: %s", request["InferenceId"], topic, error)

    def _put(self, request: AsyncRequest, outcome: Outcome) -> None:
        url = request["FailureLocation"] if outcome.failure else request["OutputLocation"]
        if url:
            bucket, key = split_s3(url)
            options = encryption(request["KmsKeyId"])
            self._ctx.client("s3").put_object(
                Bucket=bucket, Key=key, Body=outcome.body, ContentType=outcome.content_type, **options
            )
