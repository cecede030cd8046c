"""Quotas of SageMaker's instances, as Service Quotas names them: what an account may use at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session

from include.sagemaker_local.store import Store

_KIND, _NAME = "switch", "quotas"
_LEAST, _DEFAULT = 0, 20
_USAGES = {
    "training job usage": "TrainingInstanceType",
    "spot training job usage": "TrainingInstanceType",
    "processing job usage": "ProcessingInstanceType",
    "transform job usage": "TransformInstanceType",
    "endpoint usage": "ProductionVariantInstanceType",
}
"""The kinds of usage, and which instance types the service model knows for each."""
Body = dict[str, Any]


class Quotas:
    """The switch behind `/_local/quotas`: `{"quotas": {"ml.m5.xlarge for training job usage": 0}}`.

    What is not named is 20. Kept with the rest of the state.
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
            example = '{"quotas": {"ml.m5.xlarge for training job usage": 0}}'
            raise ValueError(f"{settings!r}: it must be like {example}")
        known = set(names())
        for name, value in quotas.items():
            if name not in known:
                raise ValueError(f"{name!r} is no quota; they are like 'ml.m5.xlarge for {next(iter(_USAGES))}'")
            if isinstance(value, bool) or not isinstance(value, int) or value < _LEAST:
                raise ValueError(f"{name} is {value!r}; it must be a whole number from {_LEAST}")
        self._store.put(_KIND, _NAME, settings)
        return settings

    def values(self) -> dict[str, int]:
        """Every quota by its name."""
        quotas: dict[str, int] = self.settings["quotas"]
        return dict.fromkeys(names(), _DEFAULT) | quotas


@cache
def names() -> tuple[str, ...]:
    """`ml.m5.xlarge for training job usage` and so on, sorted."""
    return tuple(sorted(_names()))


def _names() -> Iterator[str]:
    model: Any = botocore.session.get_session().get_service_model("sagemaker")
    for usage, shape in _USAGES.items():
        for instance_type in model.shape_for(shape).enum:
            if re.match(r"ml\.", instance_type):
                yield f"{instance_type} for {usage}"
