"""Quotas of the account on instances, named as in Service Quotas: how many it may use at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypedDict

import botocore.session

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.state.store import Store

_KIND, _NAME = "switch", "quotas"
_LISTED = 20
"""The value of a quota that nobody has set, in Service Quotas; more than this machine starts at a time."""
_USAGES = {
    "training job usage": "TrainingInstanceType",
    "spot training job usage": "TrainingInstanceType",
    "processing job usage": "ProcessingInstanceType",
    "transform job usage": "TransformInstanceType",
    "endpoint usage": "ProductionVariantInstanceType",
}
"""The kinds of usage, and which instance types the service model knows for each."""


class QuotaSettings(TypedDict):
    """What `/_local/quotas` answers and takes."""

    quotas: dict[str, int]
    """Numbers of instances by Service Quotas' names, such as `ml.m5.large for spot training job usage`."""


class Quotas:
    """The switch behind `/_local/quotas`, in the store; what is not named has no limit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def settings(self) -> QuotaSettings:
        """The switch as it is."""
        settings: QuotaSettings | None = self._store.get(_KIND, _NAME)
        return settings or {"quotas": {}}

    def change(self, settings: Mapping[str, object]) -> QuotaSettings:
        """Replace it. Raises ValueError that says what is wrong."""
        quotas = settings.get("quotas")
        if set(settings) != {"quotas"} or not isinstance(quotas, dict):
            raise ValueError(f'{settings!r}: it must be like {{"quotas": {{"ml.m5.large for training job usage": 0}}}}')
        known = set(names())
        for name, limit in quotas.items():
            if name not in known:
                raise ValueError(f"quotas: {name!r} is none; they are like 'ml.m5.large for {next(iter(_USAGES))}'")
            if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
                raise ValueError(f"quotas.{name} is {limit!r}; it must be a whole number of instances, 0 or more")
        self._store.put(_KIND, _NAME, settings)
        return self.settings

    def limit(self, name: str) -> int | None:
        """The quota of this name, None when there is none."""
        return self.settings["quotas"].get(name)

    def listed(self) -> dict[str, int]:
        """Every quota by its name, as Service Quotas lists them."""
        return dict.fromkeys(names(), _LISTED) | self.settings["quotas"]


@cache
def names() -> tuple[str, ...]:
    """`ml.m5.xlarge for training job usage` and so on, sorted."""
    model: Any = botocore.session.get_session().get_service_model("sagemaker")
    usages = _USAGES.items()
    return tuple(sorted(f"{name} for {usage}" for usage, shape in usages for name in model.shape_for(shape).enum))


def exceeded(name: str, limit: int, used: int, wanted: int, note: str = "") -> AwsError:
    """The refusal of a Create call that wants more instances than the account may have, in AWS's words."""
    return AwsError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{name}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {wanted} Instances. Please use AWS Service Quotas to request an increase for this "
        f"quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this "
        f"quota.{note}",
    )
