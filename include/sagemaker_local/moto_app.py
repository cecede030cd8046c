"""moto behind the local SageMaker: S3, IAM, STS, Logs, Events, CloudWatch, ECR, SNS, SQS and the rest, made durable."""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
from pathlib import Path
from typing import Any

from moto.events.utils import EventTemplateParser
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from include.sagemaker_local.control_plane import internal_failure
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.front.object_bodies import is_object_body, store_body
from include.sagemaker_local.moto_state import KEPT, MotoState
from include.sagemaker_local.protocol_errors import error_in_protocol
from include.sagemaker_local.web import Environ, Reply, call

log = logging.getLogger(__name__)
_STATELESS = ("resourcegroupstaggingapi",)
_EVENT = EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE
_EVENT_WITH_ACCOUNT = _EVENT.replace('"region"', '"account": "<account>", "region"')
_READS = re.compile(r"(Get|List|Describe|Filter|BatchGet|Test)")


class MotoApp:
    """moto, one request at a time (it is not thread-safe); what a request changed is on disk before it is answered.

    Request bodies are read, and those of objects stored, before a request's turn; replies are sent after it: a slow
    client holds up nobody.
    """

    def __init__(self, directory: Path) -> None:
        EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE = _EVENT_WITH_ACCOUNT  # moto delivers events without it
        self._app = DomainDispatcherApplication(_create_backend_app)
        self._turn = threading.RLock()
        self._state = MotoState(directory)
        self._state.load()

    def answer(self, environ: Environ, service: str) -> Reply:
        """The reply of moto; what moto does not implement is an error that boto3 does not retry.

        The reply's body may be a `Content`, whose bytes are on disk.
        """
        try:
            if is_object_body(environ, service):
                store_body(environ, self._state.bodies)
            return self._run(environ, service)
        except AwsError as error:
            return error_in_protocol(environ, service, error)
        except NotImplementedError as error:
            message = f"{service or 'This'}: {error or 'the operation'} is not implemented by the local SageMaker."
            return error_in_protocol(environ, service, AwsError("UnsupportedOperation", message, status=501))
        except (OSError, sqlite3.Error) as error:
            log.exception("%s: the state in %s cannot be written", service, self._state.directory)
            message = f"The local SageMaker could not write to its state directory: {error}."
            return error_in_protocol(environ, service, AwsError("InternalError", message, status=500))
        except Exception:
            log.exception("%s: %s %s failed", service, environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return error_in_protocol(environ, service, internal_failure())

    def _run(self, environ: Environ, service: str) -> Reply:
        operation, changing = _operation(environ, service), _may_change(environ)
        if service == "sqs" and operation == "ReceiveMessage":  # may wait for a message that another request brings
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
    """moto's application of a service, if its state is kept or if it has none."""
    if service not in (*KEPT, *_STATELESS):
        raise NotImplementedError(f"the service {service}, whose state would not be kept,")
    return create_backend_app(service)


def _operation(environ: Environ, service: str) -> str:
    """Such as `PutLogEvents`, `object` for S3 when it is about an object, "" when it is not known."""
    if service == "s3":
        return "object" if "/" in environ["PATH_INFO"].lstrip("/").rstrip("/") else ""
    return str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]


def _may_change(environ: Environ) -> bool:
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return False
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    return not _READS.match(operation)
