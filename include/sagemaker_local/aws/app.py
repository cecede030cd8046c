"""moto behind the local SageMaker: S3, IAM, STS, Logs, Events, CloudWatch, ECR, SNS, SQS and the rest, made durable."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.events.utils import EventTemplateParser
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from include.sagemaker_local.aws.errors import failed, refused
from include.sagemaker_local.aws.overrides.bucket_policy import ask_policies_here, check_bucket_policy
from include.sagemaker_local.aws.overrides.object_bodies import is_object_body, store_body
from include.sagemaker_local.aws.persistence.state import KEPT, MotoState
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.errors import error_in_protocol
from include.sagemaker_local.http.wsgi import Environ, Reply, call, operation_of

log = logging.getLogger(__name__)
_EVENT = EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE
_EVENT_WITH_ACCOUNT = _EVENT.replace('"region"', '"account": "<account>", "region"')
LONG_POLL = "ReceiveMessage"
"""Of SQS: waits up to 20 s for what another request brings."""
_NETWORK = re.compile(r"Vpc|Subnet|SecurityGroup|Route|Gateway|NetworkInterface|Address|AvailabilityZone|Region|Tags")
"""What is kept of EC2: networks. A machine that only looks as if it ran would help nobody."""
_READS = re.compile(r"(Get|List|Describe|Filter|BatchGet|Test)")
Front = Callable[[Environ, Callable[[Environ], Reply]], Reply]


class MotoApp:
    """moto, one request at a time (it is not thread-safe); what a request changed is on disk before it is answered.

    Request bodies are read, and those of objects stored, before a request's turn; replies are sent after it: a slow
    client holds up nobody.
    """

    def __init__(self, directory: Path, account: str) -> None:
        EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE = _EVENT_WITH_ACCOUNT  # moto delivers events without it
        self._app = DomainDispatcherApplication(_create_backend_app)
        ask_policies_here()
        self._account = account
        self._turn = threading.RLock()
        self._state = MotoState(directory)
        self._state.load()
        self.fronts: dict[tuple[str, str], Front] = {}
        """What answers an operation of a service (as it signs) in front of moto, which it may run."""

    def answer(self, environ: Environ, service: str) -> Reply:
        """The reply of moto; what moto does not implement is an error that boto3 does not retry.

        The reply's body may be a `Content`, whose bytes are on disk.
        """
        try:
            if front := self._front(environ, service):
                return front(environ, lambda changed: self._run(changed, service))
            check_bucket_policy(environ, service, self._account)
            if is_object_body(environ, service):
                store_body(environ, self._state.bodies)
            return self._run(environ, service)
        except Exception as error:
            return error_in_protocol(environ, service, self._explained(error, environ, service))

    def _explained(self, error: Exception, environ: Environ, service: str) -> AwsError:
        """What the caller is told of an exception; what may be our doing is logged."""
        told = refused(error, service)
        if told is None:
            log.error("%s: %s %s failed", service, environ["REQUEST_METHOD"], environ["PATH_INFO"], exc_info=error)
            told = failed(error, service, self._state.directory)
        return told

    def _front(self, environ: Environ, service: str) -> Front | None:
        """What answers in front of moto."""
        if all(service != in_front for in_front, _ in self.fronts):
            return None
        return self.fronts.get((service, operation_of(environ)))

    def _run(self, environ: Environ, service: str) -> Reply:
        operation, changing = _operation(environ, service), _may_change(environ)
        if service == "ec2" and not _NETWORK.search(operation):
            raise NotImplementedError(f"{operation}, which is about more than networks,")
        if service == "sqs" and operation == LONG_POLL:
            reply = call(self._app, environ)
            with self._turn:
                self._state.begin(changing=True)
                self._state.use("sqs")
                self._state.keep(service, operation)
            return reply
        with self._turn:
            self._state.begin(changing=changing)
            try:
                return call(self._app, environ)
            finally:
                self._state.keep(service, operation)

    def close(self) -> None:
        """Close the files of the state; everything is in them."""
        with self._turn:
            self._state.close()


def _create_backend_app(service: Any) -> Any:
    """moto's application of a service, if its state is kept."""
    if service not in KEPT:
        raise NotImplementedError(f"the service {service}, whose state would not be kept,")
    return create_backend_app(service)


def _operation(environ: Environ, service: str) -> str:
    """Such as `PutLogEvents`, `object` for S3 when it is about an object, "" when it is not known."""
    if service == "s3":
        return "object" if "/" in environ["PATH_INFO"].lstrip("/").rstrip("/") else ""
    return operation_of(environ)


def _may_change(environ: Environ) -> bool:
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return False
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    return not _READS.match(operation)
