"""One UpdateEndpoint: a new fleet comes up and takes over step by step while alarms are watched, or goes again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from include.sagemaker_local.containers.model_data import DeploymentError
from include.sagemaker_local.context import Context
from include.sagemaker_local.endpoints import record
from include.sagemaker_local.endpoints.alarms import Alarms
from include.sagemaker_local.endpoints.capture import Capture
from include.sagemaker_local.endpoints.deployment import Builder, Deployment
from include.sagemaker_local.endpoints.guardrails import Step, active_instances, instances, update_policy
from include.sagemaker_local.endpoints.plan import Plan, planned_variants
from include.sagemaker_local.endpoints.record import Endpoint
from include.sagemaker_local.endpoints.traffic import Traffic

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.literals import EndpointStatusType, VariantStatusType

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often the alarms are looked at while a fleet is baking."""


class RollbackError(Exception):
    """Why the update is to be undone; the text becomes the endpoint's FailureReason."""


class ServerStoppingError(Exception):
    """The server ends. The next one finds the endpoint Updating and ends the update on the old config."""


@dataclass(frozen=True)
class Parts:
    """What updates work with; `rollback_fails` says whether the rollback of an endpoint is to fail on purpose."""

    ctx: Context
    builder: Builder
    alarms: Alarms
    capture: Capture
    closing: Event
    rollback_fails: Callable[[str], bool]


class Rollout:
    """The update of an endpoint whose status is Updating and whose wanted plan is `_Pending`."""

    def __init__(self, parts: Parts, name: str, body: Endpoint, traffic: Traffic) -> None:
        self._parts = parts
        self._name = name
        self._body = body
        self._traffic = traffic
        self._plan: Plan = body["_Pending"]
        self._policy = update_policy(self._plan["DeploymentConfig"], self._plan["ProductionVariants"])
        self._deadline = time.monotonic() + self._policy.timeout_seconds
        self._share = 0.0

    def run(self) -> None:
        """Carry the update out to its end, whichever that is."""
        record.announce(self._parts.ctx, self._body)
        green: Deployment | None = None
        try:
            self._bake(0)  # an alarm that is in ALARM already ends the update before anything is started
            green = self._launch()
            for step in self._policy.steps:
                self._activate(green, step)
                self._bake(step.bake_seconds)
        except ServerStoppingError:
            if green:
                self._traffic.shift(green, self._share)  # so that the server stops it with the rest
        except RollbackError as error:
            self._roll_back(green, str(error))
        except Exception:
            log.exception("endpoint %s could not be updated", self._name)
            self._roll_back(green, record.INTERNAL_ERROR)
        else:
            self._finish(green)

    def _stage(self, status: VariantStatusType, share: float, message: Callable[[int], str]) -> None:
        """Store the stage of the deployment, with the instances that take requests, and send its event."""
        record.set_stage(self._parts.ctx, self._name, status, partial(active_instances, share), message)

    def _launch(self) -> Deployment:
        self._stage("Creating", 0, lambda _: f"Launching {self._instances()} instance(s).")
        try:
            green = self._parts.builder.bring_up(self._name, self._plan)
        except Exception as error:
            self._raise_if_stopping()
            if isinstance(error, DeploymentError):
                raise RollbackError(str(error)) from error
            raise
        after = self._body.copy()
        record.deployed(after)
        green.weigh(record.weights(after))
        return green

    def _activate(self, green: Deployment, step: Step) -> None:
        on = f"{step.capacity} capacity of"
        self._stage("ActivatingTraffic", step.share, lambda active: f"Activating traffic on {on} {active} instance(s).")
        self._share = step.share
        self._traffic.shift(green, step.share)
        if step.bake_seconds:
            start = f"Baking for {step.bake_seconds} seconds ({step.bake_member}) with traffic enabled on {on}"
            self._stage("Baking", step.share, lambda active: f"{start} {active} instance(s).")

    def _bake(self, seconds: float) -> None:
        """Wait, and watch the alarms meanwhile, at least once."""
        end = time.monotonic() + seconds
        while True:
            self._raise_if_stopping()
            if tripped := self._parts.alarms.in_alarm(self._policy.alarms):
                raise RollbackError(f"{record.ALARMS_TRIPPED} {', '.join(tripped)}.")
            if time.monotonic() > self._deadline:
                raise RollbackError(record.TIMED_OUT.format(self._policy.timeout_seconds))
            left = end - time.monotonic()
            if left <= 0:
                return
            self._parts.closing.wait(min(left, LOOK_SECONDS))

    def _raise_if_stopping(self) -> None:
        if self._parts.closing.is_set():
            raise ServerStoppingError

    def _finish(self, green: Deployment) -> None:
        record.set_terminating(self._parts.ctx, self._name)
        for blue in self._traffic.settle(green):
            blue.stop()
        self._parts.capture.flush()
        record.set_status(self._parts.ctx, self._name, "InService", record.deployed)
        for plan in ("_Deployed", "_Mixed"):
            if plan in self._body:
                self._parts.builder.remove(self._name, self._body[plan])

    def _roll_back(self, green: Deployment | None, reason: str) -> None:
        log.info("endpoint %s: rolling back: %s", self._name, reason)
        record.set_status(self._parts.ctx, self._name, "RollingBack")
        if green and self._parts.rollback_fails(self._name):
            self._traffic.stay_mixed()
            record.set_status(self._parts.ctx, self._name, "UpdateRollbackFailed", partial(record.mixed, reason=reason))
            return
        if green:
            for share in self._policy.rollback_shares:
                if share < self._share:
                    self._stage("Deleting", share, lambda active: f"Terminating instance(s) down to {active}.")
                    self._traffic.shift(green, share)
            self._traffic.withdraw()
            green.stop()
            self._parts.capture.flush()
        settled: EndpointStatusType = "UpdateRollbackFailed" if "_Mixed" in self._body else "InService"
        self._parts.builder.remove(self._name, self._plan)
        record.set_status(self._parts.ctx, self._name, settled, partial(record.rolled_back, reason=reason))

    def _instances(self) -> int:
        return sum(instances(variant) for variant in planned_variants(self._plan))
