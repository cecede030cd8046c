"""InvokeEndpoint: from the HTTP request to the container and back, with the errors of sagemaker-runtime."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from include.sagemaker_local.containers.model_server import Answer, NoResponseError, Serving
from include.sagemaker_local.context import Settings
from include.sagemaker_local.endpoints.capture import Capture, CaptureConfig, Payload, event_line
from include.sagemaker_local.endpoints.deployment import Deployment
from include.sagemaker_local.endpoints.metrics import Fleet, Metrics
from include.sagemaker_local.endpoints.serverless import SERVERLESS
from include.sagemaker_local.endpoints.shadow import Shadow
from include.sagemaker_local.endpoints.texts import (
    SERVERLESS_EXITED,
    SERVERLESS_TIMED_OUT,
    TIMED_OUT,
    log_group,
    received,
)
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ, Headers, Reply

MAX_BODY_BYTES = 6_291_456
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"


@dataclass(frozen=True)
class Call:
    """One request to an endpoint, to the fleets of one of its configs.

    `started` is when it arrived, on the performance counter. `capture` is there only when this request is sampled, so
    that a shadow's record has its production record.
    """

    endpoint: str
    config: str
    headers: dict[str, str]
    body: bytes
    at: datetime
    started: float
    capture: CaptureConfig | None

    @classmethod
    def sample(cls, deployment: Deployment, headers: dict[str, str], body: bytes, started: float) -> Call:
        """A request to this deployment; draws whether it is captured."""
        capture = deployment.capture if deployment.capture is not None and deployment.capture.sampled() else None
        return cls(deployment.endpoint, deployment.config, headers, body, datetime.now(UTC), started, capture)


class Invoker:
    """Takes one request to a container and back: counted, and captured when the endpoint's config says so."""

    def __init__(self, settings: Settings, capture: Capture, metrics: Metrics) -> None:
        self._settings = settings
        self._capture = capture
        self._metrics = metrics

    def choose(self, deployment: Deployment, environ: Environ) -> tuple[str, Serving]:
        """The variant asked for, or one drawn by weight."""
        wanted = environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT")
        if wanted is None:
            return deployment.draw()
        if wanted not in deployment.servers:
            raise AwsError(
                "ValidationError",
                f"Variant {wanted} of endpoint {deployment.endpoint} of account {self._settings.account} not found.",
            )
        return wanted, deployment.servers[wanted]

    def forward(self, deployment: Deployment, variant: str, environ: Environ, body: bytes, started: float) -> Reply:
        """Ask the variant's container. Raises ModelError for the model's errors, ServiceUnavailable without answer.

        `started` is when, on the performance counter, the request had arrived.
        """
        endpoint, server = deployment.endpoint, deployment.servers[variant]
        call = Call.sample(deployment, _container_headers(environ), body, started)
        if (shadow := deployment.shadow) is not None:
            shadow.offer(lambda: self._copy(call, shadow))
        try:
            answer = self.ask(call, variant, server)
        except NoResponseError as error:
            if server.name == SERVERLESS:
                text = SERVERLESS_TIMED_OUT.format(endpoint) if error.timed_out else SERVERLESS_EXITED
                raise self._model_error(server, endpoint, 0, text) from error
            if error.timed_out:
                raise self._model_error(server, endpoint, 0, TIMED_OUT) from error
            message = "The request has failed due to a temporary failure of the server."
            raise AwsError("ServiceUnavailable", message, status=503) from error
        if answer.status >= 400:
            raise self._model_error(server, endpoint, answer.status, answer.body.decode(errors="replace"))
        return 200, _response_headers(answer, variant), answer.body

    def _copy(self, call: Call, shadow: Shadow) -> None:
        """What production was asked, to the shadow variant; its errors are seen in its metrics and its log only."""
        with contextlib.suppress(NoResponseError):
            self.ask(call, shadow.name, shadow.server)

    def ask(self, call: Call, variant: str, server: Serving, seconds: float | None = None) -> Answer:
        """The container's answer, counted, and captured when it is no error. Raises NoResponseError."""
        status, asked = 0, time.perf_counter()
        try:
            answer = server.invoke(call.body, call.headers, seconds or self._settings.invocation_seconds)
            status = answer.status
        except AwsError as error:
            status = error.status
            raise
        finally:
            answered = time.perf_counter()
            fleet = Fleet(call.endpoint, variant, call.config)
            self._metrics.observe(fleet, status, answered - asked, asked - call.started)
        if call.capture is not None and status < 400:
            request = Payload(call.headers["Content-Type"], call.body)
            reply = Payload(content_type(answer), answer.body)
            line = event_line(call.capture, request, reply, call.headers.get(INFERENCE_ID), call.at)
            self._capture.append(call.capture, f"{call.endpoint}/{variant}", line, call.at)
        return answer

    def _model_error(self, server: Serving, endpoint: str, status: int, message: str) -> AwsError:
        group = f"arn:aws:logs:{self._settings.region}:{self._settings.account}:log-group:{log_group(endpoint)}"
        return AwsError(
            "ModelError",
            received(self._settings, endpoint, server.name, status, message),
            status=424,
            OriginalStatusCode=status,
            OriginalMessage=message,
            LogStreamArn=group,
        )


def check_size(body: bytes) -> None:
    """AWS refuses a large body before it looks at anything else."""
    if len(body) > MAX_BODY_BYTES:
        raise AwsError("413", f"HTTP content length exceeded {MAX_BODY_BYTES} bytes.", status=413)


def _container_headers(environ: Environ) -> dict[str, str]:
    headers = {
        "Content-Type": environ.get("CONTENT_TYPE") or "application/octet-stream",
        "Accept": environ.get("HTTP_ACCEPT") or "*/*",
    }
    for name in (CUSTOM_ATTRIBUTES, INFERENCE_ID):
        value = environ.get("HTTP_" + name.upper().replace("-", "_"))
        if value is not None:
            headers[name] = value
    return headers


def content_type(answer: Answer) -> str:
    """What an answer says it is."""
    return answer.headers.get("Content-Type", "application/octet-stream")


def _response_headers(answer: Answer, variant: str) -> Headers:
    headers = [("Content-Type", content_type(answer)), ("x-Amzn-Invoked-Production-Variant", variant)]
    attributes = answer.headers.get(CUSTOM_ATTRIBUTES)
    return [*headers, (CUSTOM_ATTRIBUTES, attributes)] if attributes else headers
