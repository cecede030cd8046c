"""The summary of `make run`: what it says of the champion."""

from __future__ import annotations

from typing import Any

import pytest

from include.laptop.run.result import Result, not_compared
from include.laptop.run.summary import lines
from tests.kits.project import CHAMPION

PLAN = {"quality_gate": {"champion": CHAMPION.arn}}
METRICS = {"auc": 0.7, "log_loss": 0.5}


def champion_line(gate: dict[str, Any], plan: dict[str, Any]) -> str:
    """What stands behind `champion` in the summary of a run with this gate."""
    result = Result("demo", "2013-11", "demo_retraining", "run")
    result.metrics = {"challenger": METRICS, "champion": gate["champion"]}
    result.not_compared = not_compared(plan, gate)
    return dict(lines(result))["champion"]


@pytest.mark.parametrize(
    ("champion", "why", "plan", "text"),
    [
        (None, None, {"quality_gate": {"champion": None}}, "none to compare with"),
        (METRICS, None, PLAN, "auc 0.7000, log_loss 0.5000"),
        (None, "it could not be scored: its model.tar.gz is gone", PLAN,
         "not compared with demo-model/7: it could not be scored: its model.tar.gz is gone"),
        ({"auc": None}, "its auc is nan", PLAN, "not compared with demo-model/7: its auc is nan"),
    ],
)  # fmt: skip
def test_the_champion(champion: Any, why: str | None, plan: dict[str, Any], text: str) -> None:
    """One that there is and that could not be scored is not none."""
    assert champion_line({"champion": champion, "not_compared": why}, plan) == text
