"""The server: one port for every AWS service. Decides who answers, and starts and stops everything in order."""

from __future__ import annotations

import fcntl
import logging
import re
from functools import partial
from typing import IO

from include.sagemaker_local.api.dispatch import TARGET, answer, call_body, internal_failure
from include.sagemaker_local.aws.app import LONG_POLL, MotoApp
from include.sagemaker_local.aws.overrides.table import overrides
from include.sagemaker_local.containers import isolation
from include.sagemaker_local.context import Context, Settings
from include.sagemaker_local.control.api import SWITCHES, ControlApi
from include.sagemaker_local.control.faults import Faults
from include.sagemaker_local.endpoints.invoke import MAX_BODY_BYTES
from include.sagemaker_local.endpoints.runner import EndpointRunner
from include.sagemaker_local.errors import AwsError, NoAnswerError
from include.sagemaker_local.http.app import Application, Pool
from include.sagemaker_local.http.clients import Clients
from include.sagemaker_local.http.errors import error_reply, signing_service
from include.sagemaker_local.http.guard import ROOT, Guard
from include.sagemaker_local.http.server import HttpServer
from include.sagemaker_local.http.types import Environ, Reply
from include.sagemaker_local.http.wsgi import operation_of
from include.sagemaker_local.identity import ACCESS_KEY, access_key
from include.sagemaker_local.jobs.runner import JobRunner
from include.sagemaker_local.operations.roles import create_default_role
from include.sagemaker_local.operations.table import OperationContext
from include.sagemaker_local.pages.refused import refused
from include.sagemaker_local.state.store import Store

log = logging.getLogger(__name__)
_INVOCATION = re.compile(r"/endpoints/([^/]+)/(async-)?invocations")


class Server:
    """The local SageMaker of one state directory.

    Raises OSError or ValueError, with a plain sentence, when it cannot have its port or its state.
    """

    def __init__(self, settings: Settings) -> None:
        self._lock_file = _lock(settings)
        application = Application(Guard(settings.allow_hosts), self._answer, pool_of, refused)
        self._web = HttpServer(settings.host, settings.port, application)
        try:
            self._set_up(settings)
        except BaseException:
            self._web.stop()
            raise

    def _set_up(self, settings: Settings) -> None:
        self._moto = MotoApp(settings.state / "aws", settings.account)
        store = Store(settings.state / "sagemaker.sqlite")
        clients = Clients(settings.url, settings.region, self._answer)
        context = Context(settings, store, clients, isolation.probe(settings.python))
        self._moto.overrides |= overrides(context)
        create_default_role(context)
        jobs = JobRunner(context)
        self._faults = Faults()
        endpoints = EndpointRunner(context, self._faults.rollback_fails)
        self.context = OperationContext(settings, store, clients, context.isolation, jobs, endpoints)
        self._control_api = ControlApi(self.context, self._faults)

    def start(self) -> None:
        """Answer requests, in threads of their own."""
        self._web.start()

    def stop(self) -> None:
        """End jobs and endpoints, save everything, stop answering."""
        self.context.jobs.shutdown()
        self.context.endpoints.shutdown()
        self._web.stop()
        self._moto.close()
        self.context.store.close()
        self._lock_file.close()

    def _answer(self, environ: Environ) -> Reply:
        """The reply to a request whose body is a seekable file. Raises NoAnswerError when there is to be none."""
        try:
            return self._dispatch(environ, environ["wsgi.input"])
        except NoAnswerError:
            raise
        except AwsError as error:
            return error_reply(error)
        except Exception:
            log.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return error_reply(internal_failure())

    def _dispatch(self, environ: Environ, body: IO[bytes]) -> Reply:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        path = environ["PATH_INFO"]
        if target.startswith(TARGET):
            ACCESS_KEY.set(access_key(environ.get("HTTP_AUTHORIZATION", "")))
            operation = target.removeprefix(TARGET)
            return self._faults.around(operation, partial(answer, self.context, operation, body))
        if path.startswith(ROOT):
            return self._control_api.answer(path, environ["REQUEST_METHOD"], call_body(body))
        invocation = _INVOCATION.fullmatch(path)
        service = signing_service(environ)
        if invocation and service == "sagemaker":
            content = body.read(MAX_BODY_BYTES + 1)
            endpoints = self.context.endpoints
            invoke = endpoints.invoke_async if invocation[2] else endpoints.invoke
            return invoke(environ, invocation[1], content)
        return self._moto.answer(environ, service)


def pool_of(environ: Environ) -> Pool:
    """The thread pool that answers a request: what waits for something else must not hold up the rest."""
    path = environ["PATH_INFO"]
    if path in SWITCHES:
        return Pool.CONTROL
    if path.endswith("/invocations") and _INVOCATION.fullmatch(path):
        return Pool.INVOCATIONS
    return Pool.WAITS if operation_of(environ) == LONG_POLL else Pool.ANSWERS


def _lock(settings: Settings) -> IO[str]:
    """Hold the state directory, so that no second server writes to it."""
    file = (settings.state / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise OSError(
            f"the state directory {settings.state} is in use by another local SageMaker: stop that one or name another "
            f"directory with --state"
        ) from error
    return file
