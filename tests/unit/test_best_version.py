"""Which version is best."""

from __future__ import annotations

from typing import Any

import pytest

from sagemaker_retraining.promotion_rule import Version
from sagemaker_retraining.registry import best_version, metric_of, number_and_period


def package(number: int, status: str, auc: str | None) -> dict[str, Any]:
    metadata = {"period": f"2013-{number:02}", **({"metric.auc": auc} if auc is not None else {})}
    return {"ModelPackageVersion": number, "ModelApprovalStatus": status, "CustomerMetadataProperties": metadata}


@pytest.mark.parametrize(
    ("given", "direction", "best"),
    [
        ([(1, "Approved", "0.70"), (2, "Approved", "0.72"), (3, "Approved", "0.71")], "maximize", 2),
        ([(1, "Approved", "0.70"), (2, "Approved", "0.72"), (3, "Approved", "0.71")], "minimize", 1),
        # What is not approved cannot be best, however good.
        ([(1, "Approved", "0.70"), (2, "Rejected", "0.9"), (3, "PendingManualApproval", "0.9")], "maximize", 1),
        ([(1, "Approved", "0.7"), (2, "Approved", "0.70")], "maximize", 2),
        ([(1, "Approved", "-0.5"), (2, "Approved", "-0.7")], "maximize", 1),
        # Without a value, or with one that is none.
        ([(1, "Approved", None), (2, "Approved", "high"), (3, "Approved", "0.6")], "maximize", 3),
        ([(1, "Approved", None)], "maximize", None),
        ([(1, "Approved", "nan"), (2, "Approved", "0.6")], "maximize", 2),
        ([(2, "Approved", "0.6"), (1, "Approved", "nan")], "minimize", 2),
        ([], "maximize", None),
    ],
)
def test_the_best_approved_version(given: list[tuple[int, str, str | None]], direction: str, best: int | None) -> None:
    found = best_version([package(*version) for version in given], "auc", direction)
    assert (found["ModelPackageVersion"] if found else None) == best


def test_what_registration_noted() -> None:
    found = package(3, "Approved", "0.7123456789")
    assert metric_of(found, "auc") == 0.7123456789
    assert metric_of(found, "rmse") is None
    assert number_and_period(found) == Version(3, "2013-03")
    assert number_and_period({"ModelPackageVersion": 3}) == Version(3, None)
