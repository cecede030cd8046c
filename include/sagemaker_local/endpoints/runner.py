"""The executor of endpoints: brings deployments up, swaps and ends them in the background, and answers invocations."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count

from include.sagemaker_local.containers.model_data import DeploymentError
from include.sagemaker_local.containers.model_server import INVOCATION_SECONDS, Serving
from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints import async_request, autoscaling, record
from include.sagemaker_local.endpoints.alarms import Alarms
from include.sagemaker_local.endpoints.asynchronous import AsyncInvocations
from include.sagemaker_local.endpoints.autoscaling import Autoscaling
from include.sagemaker_local.endpoints.capture import Capture
from include.sagemaker_local.endpoints.deployment import Builder, Deployment
from include.sagemaker_local.endpoints.invoke import Invoker, check_size
from include.sagemaker_local.endpoints.metrics import Metrics
from include.sagemaker_local.endpoints.plan import Plan
from include.sagemaker_local.endpoints.record import Endpoint
from include.sagemaker_local.endpoints.rollout import Parts, Rollout
from include.sagemaker_local.endpoints.traffic import Traffic, in_parallel
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ, Reply
from include.sagemaker_local.state.tags import delete_all_tags

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
METRICS_EVERY = 5
"""Metrics go out, alarms are evaluated and variants scaled with every fifth flush."""
SHUTDOWN_DRAIN_SECONDS = 5


class EndpointRunner:
    """One per server. Every create, update and delete runs in a thread of its own; the endpoint's status, changed
    atomically in the store before the thread starts, keeps a second operation on the same endpoint out."""

    def __init__(self, ctx: Context, rollback_fails: Callable[[str], bool]) -> None:
        self._ctx = ctx
        self._closing = threading.Event()
        self._metrics = Metrics(ctx)
        self._capture = Capture(ctx, ctx.settings.state / "capture")
        self._invoker = Invoker(ctx.settings, self._capture, self._metrics)
        self._builder = Builder(ctx, self._closing)
        self._alarms = Alarms(ctx, self._metrics)
        self._autoscaling = Autoscaling(ctx, self._metrics)
        self._parts = Parts(ctx, self._builder, self._alarms, self._capture, self._closing, rollback_fails)
        self._live: dict[str, Traffic] = {}
        self._async = AsyncInvocations(ctx, self._invoker, lambda name: self._acquire(name, {}), self._closing)
        self._workers: set[threading.Thread] = set()
        self._flusher = threading.Thread(target=self._flush_regularly, name="endpoint-flusher", daemon=True)
        self._flusher.start()
        self._recover()

    def create(self, name: str) -> None:
        """Bring up a new endpoint, whose status is Creating."""
        self._in_background(self._create, name)

    def update(self, name: str) -> None:
        """Replace the deployment of an endpoint, whose status is Updating."""
        self._in_background(self._update, name)

    def reweigh(self, name: str) -> None:
        """Share requests by the weights now in the store, and end the update that changed them."""
        body = record.set_status(self._ctx, name, "InService")
        self._live[name].weigh(record.weights(body))

    def delete(self, name: str) -> None:
        """End an endpoint, whose status is Deleting."""
        self._in_background(self._delete, name)

    def invoke(self, environ: Environ, name: str, body: bytes) -> Reply:
        """InvokeEndpoint; the headers in the WSGI environ are the operation's parameters. Raises AwsError."""
        started = time.perf_counter()
        check_size(body)
        deployment, variant, server = self._acquire(name, environ)
        try:
            if deployment.asynchronous is not None:
                raise self._wrong_kind(name)
            return self._invoker.forward(deployment, variant, environ, body, started)
        finally:
            server.release()

    def invoke_async(self, environ: Environ, name: str, body: bytes) -> Reply:
        """InvokeEndpointAsync: the request is stored, and answered later. Raises AwsError."""
        traffic = self._live.get(name)
        if traffic is None:
            raise self._not_live(name)
        deployment = traffic.draw()
        if deployment.asynchronous is None:
            raise self._wrong_kind(name)
        request = async_request.parse(name, environ, body, deployment.asynchronous)
        self._async.submit(request, deployment.asynchronous)
        return async_request.accepted(request)

    def _acquire(self, name: str, environ: Environ) -> tuple[Deployment, str, Serving]:
        """A serving container for one request, to be released. Raises AwsError."""
        while True:
            traffic = self._live.get(name)
            if traffic is None:
                raise self._not_live(name)
            deployment = traffic.draw()
            variant, server = self._invoker.choose(deployment, environ)
            if server.acquire():  # else it was replaced a moment ago: take its successor
                return deployment, variant, server

    def _wrong_kind(self, name: str) -> AwsError:
        account = self._ctx.settings.account
        return AwsError(
            "ValidationError", f"Endpoint {name} of account {account} does not support this inference type."
        )

    def _not_live(self, name: str) -> AwsError:
        body = self._ctx.store.get("endpoint", name)
        if body and body["EndpointStatus"] in ("InService", "Updating", "SystemUpdating", "UpdateRollbackFailed"):
            return AwsError(
                "ServiceUnavailable", f"Endpoint {name} is starting or stopping with the server.", status=503
            )
        return AwsError("ValidationError", f"Endpoint {name} of account {self._ctx.settings.account} not found.")

    def shutdown(self) -> None:
        """End all containers after their requests in flight; store captured events and metrics.

        The endpoints' statuses stay, so that the next start brings them up again.
        """
        self._closing.set()
        for worker in list(self._workers):
            worker.join()
        in_parallel([partial(self._live.pop(name).stop, SHUTDOWN_DRAIN_SECONDS) for name in list(self._live)])
        self._flusher.join()
        self._capture.flush()
        self._metrics.flush()

    def _in_background(self, work: Callable[[str], None], name: str) -> None:
        def run() -> None:
            try:
                work(name)
            except Exception:
                log.exception("endpoint %s: %s", name, work.__name__)
            finally:
                self._workers.discard(threading.current_thread())

        worker = threading.Thread(target=run, name=f"endpoint-{name}", daemon=True)
        self._workers.add(worker)
        worker.start()

    def _create(self, name: str) -> None:
        body = self._body(name)
        record.announce(self._ctx, body)
        deployment = self._bring_up(name, body["_Pending"], partial(self._end_failed, name))
        if deployment:
            record.deployed(body)
            self._publish(name, deployment, body)
            record.set_status(self._ctx, name, "InService", record.deployed)

    def _restart(self, name: str) -> None:
        """After a restart of the server: bring up again what served before, of a mix of two configs the old one."""
        body = self._body(name)
        deployment = self._bring_up(name, body["_Deployed"], partial(self._end_failed, name))
        if deployment:
            self._publish(name, deployment, body)
            record.set_status(self._ctx, name, "UpdateRollbackFailed" if "_Mixed" in body else "InService")

    def _update(self, name: str) -> None:
        Rollout(self._parts, name, self._body(name), self._live[name]).run()

    def _publish(self, name: str, deployment: Deployment, body: Endpoint) -> None:
        """From here on requests go to this deployment, shared as `body` says."""
        deployment.weigh(record.weights(body))
        self._live[name] = Traffic(deployment)
        self._async.resume(name, deployment.asynchronous)

    def _bring_up(self, name: str, plan: Plan, failed: Callable[[str], None]) -> Deployment | None:
        """The running deployment; or None after telling `failed` why not, unless it is the server that ends."""
        try:
            return self._builder.bring_up(name, plan)
        except DeploymentError as error:
            reason = str(error)
        except Exception:
            log.exception("endpoint %s could not be brought up", name)
            reason = record.INTERNAL_ERROR
        if not self._closing.is_set():
            failed(reason)
        return None

    def _end_failed(self, name: str, reason: str) -> None:
        def change(body: Endpoint) -> None:
            body["FailureReason"] = reason

        record.set_status(self._ctx, name, "Failed", change)

    def _delete(self, name: str) -> None:
        body = self._body(name)
        record.announce(self._ctx, body)
        traffic = self._live.pop(name, None)
        self._async.forget(name)
        if traffic:
            traffic.stop(INVOCATION_SECONDS)
        self._capture.flush()
        self._metrics.forget(name)
        autoscaling.deregister(self._ctx, name)
        shutil.rmtree(self._builder.directory(name), ignore_errors=True)
        delete_all_tags(self._ctx.store, body["EndpointArn"])
        self._ctx.store.delete("endpoint", name)

    def _body(self, name: str) -> Endpoint:
        body: Endpoint | None = self._ctx.store.get("endpoint", name)
        if body is None:
            raise KeyError(f"endpoint {name}")
        return body

    def _recover(self) -> None:
        """Endpoints of the last run: those that served come up again, half-done creates and deletes are done again, and
        half-done updates end on the old config."""
        self._builder.remove_unused()
        for body in self._ctx.store.list("endpoint"):
            name, status = body["EndpointName"], body["EndpointStatus"]
            if status == "Creating":
                self.create(name)
            elif status == "Deleting":
                self.delete(name)
            elif status != "Failed":
                record.set_status(self._ctx, name, "SystemUpdating", partial(self._undo_update, name))
                self._in_background(self._restart, name)

    def _undo_update(self, name: str, body: Endpoint) -> None:
        record.scaled(body)
        if "_Pending" in body:
            self._builder.remove(name, body["_Pending"])
            record.rolled_back(body, record.RESTARTED)

    def _flush_regularly(self) -> None:
        for tick in count(1):
            if self._closing.wait(FLUSH_SECONDS):
                return
            try:
                self._capture.flush()
                if tick % METRICS_EVERY == 0:
                    self._metrics.flush()
                    self._alarms.evaluate_all()
                    self._autoscaling.apply()
            except Exception:
                log.exception("flushing captured events and metrics")
