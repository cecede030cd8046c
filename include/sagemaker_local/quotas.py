"""Quotas of the account on instances: none by default, since this machine has no such limits; set to try them out."""

from __future__ import annotations

from typing import Any

from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.store import Store

_KIND, _NAME = "switch", "quotas"
Body = dict[str, Any]


class Quotas:
    """The switch behind `/_local/quotas`: `{"quotas": {"ml.m5.large for spot training job usage": 0}}`.

    The names are those of Service Quotas; what is not named has no limit. Kept with the rest of the state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def settings(self) -> Body:
        """The switch as it is."""
        return self._store.get(_KIND, _NAME) or {"quotas": {}}

    def change(self, settings: Body) -> Body:
        """Replace it. Raises ValueError that says what is wrong."""
        quotas = settings.get("quotas")
        if set(settings) != {"quotas"} or not isinstance(quotas, dict):
            raise ValueError(f'{settings!r}: it must be like {{"quotas": {{"ml.m5.large for training job usage": 0}}}}')
        for name, limit in quotas.items():
            if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
                raise ValueError(f"quotas.{name} is {limit!r}; it must be a whole number of instances, 0 or more")
        self._store.put(_KIND, _NAME, settings)
        return settings

    def limit(self, name: str) -> int | None:
        """The quota of this name, None when there is none."""
        found: int | None = self.settings["quotas"].get(name)
        return found


def exceeded(name: str, limit: int, used: int, wanted: int, note: str = "") -> AwsError:
    """The refusal of a Create call that wants more instances than the account may have, in AWS's words."""
    return AwsError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{name}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {wanted} Instances. Please use AWS Service Quotas to request an increase for this "
        f"quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this "
        f"quota.{note}",
    )
