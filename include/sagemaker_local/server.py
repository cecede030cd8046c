"""The server: one port for every AWS service. Decides who answers, and starts and stops everything in order."""

from __future__ import annotations

import fcntl
import logging
import re
import threading
from collections.abc import Callable, Iterable
from http.client import responses
from typing import IO, Any

from include.sagemaker_local.control_api import ROOT, ControlApi
from include.sagemaker_local.control_plane import TARGET, answer, error_reply, internal_failure
from include.sagemaker_local.endpoints.runner import EndpointRunner
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.faults import Faults, NoAnswerError
from include.sagemaker_local.front.table import fronts
from include.sagemaker_local.identity import ACCESS_KEY, access_key
from include.sagemaker_local.jobs.runner import JobRunner
from include.sagemaker_local.kept.content import Content
from include.sagemaker_local.moto_app import MotoApp
from include.sagemaker_local.operations.roles import create_default_role
from include.sagemaker_local.service import Context, Settings
from include.sagemaker_local.store import Store
from include.sagemaker_local.web import Clients, Environ, Reply, read_body, web_server

log = logging.getLogger(__name__)
_INVOCATION = re.compile(r"/endpoints/([^/]+)/(async-)?invocations")


class Server:
    """The local SageMaker of one state directory.

    Raises OSError or ValueError, with a plain sentence, when it cannot have its port or its state.
    """

    def __init__(self, settings: Settings) -> None:
        self._lock_file = _lock(settings)
        self._web = web_server(settings.host, settings.port, self._app)
        try:
            self._set_up(settings)
        except BaseException:
            self._web.stop()  # its threads would keep the process alive
            raise

    def _set_up(self, settings: Settings) -> None:
        self._moto = MotoApp(settings.state / "aws")
        store = Store(settings.state / "sagemaker.sqlite")
        self.context = Context(settings, store, Clients(settings.url, settings.region, self._app))
        self._moto.fronts |= fronts(self.context)
        create_default_role(self.context)
        self.context.jobs = JobRunner(self.context)
        self._faults = Faults()
        self.context.endpoints = EndpointRunner(self.context, self._faults.rollback_fails)
        self._control_api = ControlApi(self.context, self._faults)

    def start(self) -> None:
        """Answer requests, in threads of their own."""
        threading.Thread(target=self._web.serve, name="web", daemon=True).start()

    def stop(self) -> None:
        """End jobs and endpoints, save everything, stop answering."""
        self.context.jobs.shutdown()
        self.context.endpoints.shutdown()
        self._web.stop()
        self._moto.close()
        self.context.store.close()
        self._lock_file.close()

    def _app(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            with read_body(environ) as body:
                status, headers, content = self._dispatch(environ, body)
        except NoAnswerError:
            raise
        except AwsError as error:
            status, headers, content = error_reply(error)
        except Exception:
            log.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            status, headers, content = error_reply(internal_failure())
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers = [*headers, ("Content-Length", str(len(content)))]
        start_response(f"{status} {responses.get(status, 'Unknown')}", headers)
        return content.blocks() if isinstance(content, Content) else [content]

    def _dispatch(self, environ: Environ, body: IO[bytes]) -> Reply:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        path = environ["PATH_INFO"]
        if target.startswith(TARGET):
            ACCESS_KEY.set(access_key(environ.get("HTTP_AUTHORIZATION", "")))
            operation = target.removeprefix(TARGET)
            return self._faults.around(operation, lambda: answer(self.context, operation, body.read()))
        if path.startswith(ROOT):
            return self._control_api.answer(path, environ["REQUEST_METHOD"], body.read())
        invocation = _INVOCATION.fullmatch(path)
        if invocation and signing_service(environ) == "sagemaker":
            content = body.read()
            body.seek(0)
            endpoints = self.context.endpoints
            invoke = endpoints.invoke_async if invocation[2] else endpoints.invoke
            return invoke(environ, invocation[1], content)
        return self._moto.answer(environ, signing_service(environ))


def signing_service(environ: Environ) -> str:
    """The service a request was signed for (`s3`, `sagemaker`, …), "" when it is not signed."""
    scope = re.search(r"Credential=[^/]*/\d+/[^/]*/([^/]+)/aws4_request", environ.get("HTTP_AUTHORIZATION", ""))
    return scope[1].lower() if scope else ""


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
