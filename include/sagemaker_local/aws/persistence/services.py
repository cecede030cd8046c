"""The small services on disk: a row for each backend that a changing request used; metric data appended."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from moto import backends as moto_backends
from moto.core.base_backend import AccountSpecificBackend

from include.sagemaker_local.aws.persistence.current_request import Present
from include.sagemaker_local.aws.persistence.database import Database
from include.sagemaker_local.aws.persistence.pickling import dumps

SERVICES = (
    "logs", "events", "iam", "sts", "ecr", "cloudwatch", "sns", "sqs", "kms", "ssm", "secretsmanager",
    "applicationautoscaling", "ec2",
)  # fmt: skip
BACKEND, METRICS = "backend", "metric data"
_IDENTITY = ("iam", "sts")
"""Every request asks these who it is; only their own change them."""
_TRIES = 5


class ServicesState:
    """Keeps the backends of `SERVICES`, as far as they are in use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: set[tuple[str, str, str]] = set()
        self._metrics: dict[str, int] = {}
        """How many metric data of a backend are on disk."""
        get = getattr(AccountSpecificBackend.__getitem__, "__wrapped__", AccountSpecificBackend.__getitem__)
        setattr(AccountSpecificBackend, "__getitem__", _noticed(get, self._used))  # noqa: B010  (a method for mypy)

    def load(self) -> None:
        """Put what the rows say into moto."""
        for service, place, state in self._database.states(BACKEND):
            self.put(service, place, self._database.load(state))

    def put(self, service: str, place: str, backend: Any) -> None:
        """Make it the backend of `<account>/<region>`."""
        account, region = place.split("/")
        if service == "cloudwatch":
            backend.paged_metric_data = {}
            rows = [self._database.load(state) for state in self._database.appended(METRICS, place, "")]
            backend.metric_data = [datum for row in rows for datum in row]
            self._metrics[place] = len(backend.metric_data)
        elif service == "logs":
            backend.groups = {}
        dict.__setitem__(_backends(service)[account], region, backend)

    def use(self, *services: str) -> None:
        """Count every backend of these services that is there as used."""
        for service in services:
            if f"moto.{service}.models" in sys.modules:
                for account, regions in dict.items(_backends(service)):
                    self._used.update((service, account, region) for region in dict(dict.items(regions)))

    def write(self, requested: str) -> None:
        """Write the backends that were used and have changed; `requested` is the service that was asked.

        Raises NotImplementedError for a backend that holds what cannot be kept.
        """
        for service, account, region in sorted(self._used):
            if service in SERVICES and (service not in _IDENTITY or requested in ("", *_IDENTITY)):
                place = f"{account}/{region}"
                backend = dict.__getitem__(_backends(service)[account], region)
                try:
                    self._write(service, place, backend)
                except (AttributeError, TypeError, pickle.PicklingError) as error:
                    self._used.discard((service, account, region))
                    raise NotImplementedError(f"keeping what it makes ({error})") from error
                if service == "cloudwatch":
                    self._append_metrics(place, backend.metric_data)

    def _write(self, service: str, place: str, backend: Any) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                self._database.put_changed(BACKEND, service, place, backend)
                return
            except RuntimeError:  # a ReceiveMessage that waits outside its turn has just changed a dictionary
                if not tries_left:
                    raise

    def _append_metrics(self, place: str, data: list[Any]) -> None:
        kept = self._metrics.get(place, 0)
        if len(data) < kept:
            self._database.forget_appended(METRICS, place, "")
            kept = 0
        if data[kept:]:
            self._database.append(METRICS, place, "", dumps(data[kept:])[0])

    def forget(self) -> None:
        """What had changed is on disk, or has not changed."""
        for service, account, region in self._used:
            if service == "cloudwatch":
                backend = dict.__getitem__(_backends(service)[account], region)
                self._metrics[f"{account}/{region}"] = len(backend.metric_data)
        self._used.clear()


def _noticed(get: Callable[..., Any], used: set[tuple[str, str, str]]) -> Callable[..., Any]:
    @wraps(get)
    def run(regions: Any, region: str) -> Any:
        found = get(regions, region)
        if Present.changing:
            service = regions.service_name.replace("-", "")  # Application Auto Scaling is the one that has a hyphen
            used.add((service, regions.account_id, "aws" if region == "global" else region))
        return found

    return run


def _backends(service: str) -> Any:
    return cast("Any", moto_backends.get_backend)(service)
