"""moto behind the local SageMaker: S3, IAM, STS, Logs, Events, CloudWatch, ECR, SNS, SQS and the rest, made durable."""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path
from typing import Any

from moto.events.utils import EventTemplateParser
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from include.sagemaker_local.aws.errors import failed, refused
from include.sagemaker_local.aws.overrides.bucket_policy import check_bucket_policy, use_own_policy_evaluation
from include.sagemaker_local.aws.overrides.object_bodies import is_object_body, store_body
from include.sagemaker_local.aws.overrides.table import Override
from include.sagemaker_local.aws.persistence.state import PERSISTED, MotoState
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.errors import error_in_protocol
from include.sagemaker_local.http.types import Environ, Reply
from include.sagemaker_local.http.wsgi import call, operation_of

log = logging.getLogger(__name__)
_EVENT = EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE
_EVENT_WITH_ACCOUNT = _EVENT.replace('"region"', '"account": "<account>", "region"')
LONG_POLL = "ReceiveMessage"
"""Of SQS: waits up to 20 s for what another request brings."""
_NETWORK = re.compile(r"Vpc|Subnet|SecurityGroup|Route|Gateway|NetworkInterface|Address|AvailabilityZone|Region|Tags")
"""The operations of EC2 that are offered: networks. A machine that only looks as if it ran would help nobody."""
_READS = re.compile(r"(Get|List|Describe|Filter|BatchGet|Test)")


class MotoApp:
    """moto, one request at a time (it is not thread-safe); what a request changed is on disk before it is answered.

    Request bodies are read, and those of objects stored, before a request's turn; replies are sent after it: a slow
    client holds up nobody.
    """

    def __init__(self, directory: Path, account: str) -> None:
        EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE = _EVENT_WITH_ACCOUNT  # moto delivers events without it
        self._app = DomainDispatcherApplication(_create_backend_app)
        use_own_policy_evaluation()
        self._account = account
        self._turn = threading.RLock()
        self._state = MotoState(directory)
        self._state.load()
        self.overrides: dict[tuple[str, str], Override] = {}
        """By a service's signing name and an operation: what answers instead of moto."""

    def answer(self, environ: Environ, service: str) -> Reply:
        """The reply of moto; what moto does not implement is an error that boto3 does not retry.

        The reply's body may be a `Content`, whose bytes are on disk.
        """
        try:
            if override := self._override(environ, service):
                return override(environ, lambda changed: self._run(changed, service))
            check_bucket_policy(environ, service, self._account)
            if is_object_body(environ, service):
                store_body(environ, self._state.bodies)
            return self._run(environ, service)
        except Exception as error:
            return error_in_protocol(environ, service, self._explained(error, environ, service))

    def _explained(self, error: Exception, environ: Environ, service: str) -> AwsError:
        """The error that the caller gets for an exception; what may be a mistake of ours is logged."""
        answer = refused(error, service)
        if answer is None:
            log.error("%s: %s %s failed", service, environ["REQUEST_METHOD"], environ["PATH_INFO"], exc_info=error)
            answer = failed(error, service, self._state.directory)
        return answer

    def _override(self, environ: Environ, service: str) -> Override | None:
        if all(service != overridden for overridden, _ in self.overrides):
            return None
        return self.overrides.get((service, operation_of(environ)))

    def _run(self, environ: Environ, service: str) -> Reply:
        operation, changing = _operation(environ, service), _may_change(environ)
        if service == "ec2" and not _NETWORK.search(operation):
            raise NotImplementedError(f"{operation}, which is about more than networks,")
        if service == "sqs" and operation == LONG_POLL:
            reply = call(self._app, environ)
            with self._turn:
                self._state.begin(changing=True)
                self._state.use("sqs")
                self._state.save(service, operation)
            return reply
        with self._turn:
            self._state.begin(changing=changing)
            try:
                return call(self._app, environ)
            finally:
                self._state.save(service, operation)

    def close(self) -> None:
        """Close the files of the state; everything is in them."""
        with self._turn:
            self._state.close()


def _create_backend_app(service: Any) -> Any:
    """moto's application of a service, if its state is written to disk."""
    if service not in PERSISTED:
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
