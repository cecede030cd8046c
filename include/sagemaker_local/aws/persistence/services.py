"""The small services on disk: a row for each backend that a changing request used; metric data appended."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from moto import backends as moto_backends
from moto.core.base_backend import AccountSpecificBackend

from include.sagemaker_local.aws.persistence.current_request import CurrentRequest
from include.sagemaker_local.aws.persistence.database import Database
from include.sagemaker_local.aws.persistence.pickling import dumps

SERVICES = (
    "logs", "events", "iam", "sts", "ecr", "cloudwatch", "sns", "sqs", "kms", "ssm", "secretsmanager",
    "applicationautoscaling", "ec2",
)  # fmt: skip
BACKEND, METRICS = "backend", "metric data"
_IDENTITY = ("iam", "sts")
"""Every request looks up its caller in these; only requests to them change them."""
_TRIES = 5


class ServicesState:
    """Writes the backends of `SERVICES`, as far as they are in use, to a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: set[tuple[str, str, str]] = set()
        self._metrics: dict[str, int] = {}
        """How many metric data of a backend are on disk."""
        get = getattr(AccountSpecificBackend.__getitem__, "__wrapped__", AccountSpecificBackend.__getitem__)
        setattr(AccountSpecificBackend, "__getitem__", _tracked(get, self._used))  # noqa: B010  (a method for mypy)

    def load(self) -> None:
        """Put what the rows say into moto."""
        for service, location, state in self._database.states(BACKEND):
            self.put(service, location, self._database.load(state))

    def put(self, service: str, location: str, backend: Any) -> None:
        """Make it the backend of `<account>/<region>`."""
        account, region = location.split("/")
        if service == "cloudwatch":
            backend.paged_metric_data = {}
            rows = [self._database.load(state) for state in self._database.appended(METRICS, location, "")]
            backend.metric_data = [datum for row in rows for datum in row]
            self._metrics[location] = len(backend.metric_data)
        elif service == "logs":
            backend.groups = {}
        dict.__setitem__(_backends(service)[account], region, backend)

    def use(self, *services: str) -> None:
        """Mark every existing backend of these services as used by the current request."""
        for service in services:
            if f"moto.{service}.models" in sys.modules:
                for account, regions in dict.items(_backends(service)):
                    self._used.update((service, account, region) for region in dict(dict.items(regions)))

    def write(self, requested: str) -> None:
        """Write the backends that were used and have changed; `requested` is the service that was asked.

        Raises NotImplementedError for a backend that holds what cannot be written.
        """
        for service, account, region in sorted(self._used):
            if service in SERVICES and (service not in _IDENTITY or requested in ("", *_IDENTITY)):
                location = f"{account}/{region}"
                backend = dict.__getitem__(_backends(service)[account], region)
                try:
                    self._write(service, location, backend)
                except (AttributeError, TypeError, pickle.PicklingError) as error:
                    self._used.discard((service, account, region))
                    raise NotImplementedError(f"keeping what it makes ({error})") from error
                if service == "cloudwatch":
                    self._append_metrics(location, backend.metric_data)

    def _write(self, service: str, location: str, backend: Any) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                self._database.put_changed(BACKEND, service, location, backend)
                return
            except RuntimeError:  # a ReceiveMessage that runs beside it has just changed a dictionary
                if not tries_left:
                    raise

    def _append_metrics(self, location: str, data: list[Any]) -> None:
        written = self._metrics.get(location, 0)
        if len(data) < written:
            self._database.forget_appended(METRICS, location, "")
            written = 0
        if data[written:]:
            self._database.append(METRICS, location, "", dumps(data[written:])[0])

    def forget(self) -> None:
        """Everything used is on disk: begin anew."""
        for service, account, region in self._used:
            if service == "cloudwatch":
                backend = dict.__getitem__(_backends(service)[account], region)
                self._metrics[f"{account}/{region}"] = len(backend.metric_data)
        self._used.clear()


def _tracked(get: Callable[..., Any], used: set[tuple[str, str, str]]) -> Callable[..., Any]:
    @wraps(get)
    def run(regions: Any, region: str) -> Any:
        found = get(regions, region)
        if CurrentRequest.changing:
            service = regions.service_name.replace("-", "")  # Application Auto Scaling is the one that has a hyphen
            used.add((service, regions.account_id, "aws" if region == "global" else region))
        return found

    return run


def _backends(service: str) -> Any:
    return cast("Any", moto_backends.get_backend)(service)
