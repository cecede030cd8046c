"""moto behind the local SageMaker: S3, IAM, STS, Logs, Events, CloudWatch, ECR, SNS, SQS and the rest, made durable."""

from __future__ import annotations

import logging
import re
import threading
from contextlib import nullcontext
from pathlib import Path

from moto.events.utils import EventTemplateParser
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from include.sagemaker_local.control_plane import internal_failure
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.moto_state import MotoState
from include.sagemaker_local.protocol_errors import error_in_protocol
from include.sagemaker_local.web import Environ, Reply, call

log = logging.getLogger(__name__)
SAVE_SECONDS = 1.0
"""A change is on disk after this time at most (or ten times what saving takes, if that is longer)."""
_EVENT = EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE
_EVENT_WITH_ACCOUNT = _EVENT.replace('"region"', '"account": "<account>", "region"')
_READS = re.compile(r"(Get|List|Describe|Filter|BatchGet|Test)")


class MotoApp:
    """moto, one request at a time (it is not thread-safe), its state saved in the background.

    Request bodies are read before and replies are sent after a request's turn, so a slow client holds up nobody.
    """

    def __init__(self, directory: Path) -> None:
        EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE = _EVENT_WITH_ACCOUNT  # moto delivers events without it
        self._app = DomainDispatcherApplication(create_backend_app)
        self._turn = threading.RLock()
        self._state = MotoState(directory)
        self._state.load()
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._saver = threading.Thread(target=self._save_changes, name="moto-state", daemon=True)
        self._saver.start()

    def answer(self, environ: Environ, service: str) -> Reply:
        """The reply of moto; what moto does not implement is an error that boto3 does not retry."""
        long_poll = service == "sqs" and "ReceiveMessage" in environ.get("HTTP_X_AMZ_TARGET", "")
        try:
            with nullcontext() if long_poll else self._turn:
                return call(self._app, environ)
        except NotImplementedError as error:
            message = f"{service or 'This'}: {error or 'the operation'} is not implemented by the local SageMaker."
            return error_in_protocol(environ, service, AwsError("UnsupportedOperation", message, status=501))
        except Exception:
            log.exception("%s: %s %s failed", service, environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return error_in_protocol(environ, service, internal_failure())
        finally:
            if _may_change(environ):
                self._changed.set()

    def close(self) -> None:
        """Save a last time, and stop saving. Raises what goes wrong."""
        self._closing.set()
        self._changed.set()
        self._saver.join()
        self._state.save(self._turn)

    def _save_changes(self) -> None:
        pause = SAVE_SECONDS
        while not self._closing.is_set():
            self._changed.wait()
            self._closing.wait(pause)
            self._changed.clear()
            pause = max(SAVE_SECONDS, 10 * self._save())

    def _save(self) -> float:
        """Write a snapshot; the seconds it took. A failure (such as a full disk) is logged and tried again."""
        try:
            return self._state.save(self._turn)
        except Exception:
            log.exception("the state of S3, IAM, Logs and the others could not be saved in %s", self._state.directory)
            self._changed.set()
            return SAVE_SECONDS


def _may_change(environ: Environ) -> bool:
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return False
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    return not _READS.match(operation)
