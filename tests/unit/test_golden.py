"""The whole plan as stored JSON: a change of what is sent to AWS is seen in the review.

After a wanted change: `REGENERATE_GOLDEN=1 python -m pytest tests/unit/test_golden.py`, and look at the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sagemaker_retraining.config import load_environment, load_model
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import CodePackage, build_plan
from sagemaker_retraining.requests import build_requests, complete_package, metric_sources, serve_requests
from tests.kits.project import CHAMPION, PACKAGE_ARN, RESULTS, ExampleProject

GOLDEN = Path(__file__).parent / "golden"


def flight_delay(tmp_path: Path) -> dict[str, Any]:
    """The model of `make run` on a laptop; its code, which changes often, is not part of it."""
    return build_requests(
        build_plan(
            load_model("flight_delay", environment="local"),
            load_environment("local"),
            Period(2013, 11),
            dag_id="flight_delay_retraining",
            run_id="manual__2026-11-20T12:00:00+00:00",
            git_sha="0123456789abcdef0123456789abcdef01234567",
            code=CodePackage("c0de" * 16, ()),
        )
    )


def everything_set(tmp_path: Path) -> dict[str, Any]:
    """KMS, VPC, on demand, a champion, a roll-out with alarms; and what follows from training and approval."""
    plan = ExampleProject(tmp_path).plan(
        "prod", champion=CHAMPION, code=CodePackage("c0de" * 16, (("requirements.txt", b"holidays==0.80\n"),))
    )
    requests = build_requests(plan)
    return {
        **requests,
        "registered": complete_package(requests["register"]["package"], RESULTS, metric_sources(RESULTS)),
        "served": [list(part) for part in serve_requests(requests, PACKAGE_ARN)],
    }


@pytest.mark.parametrize("example", [flight_delay, everything_set])
def test_golden(example: Any, tmp_path: Path) -> None:
    file = GOLDEN / f"{example.__name__}.json"
    made = json.dumps(example(tmp_path), indent=2) + "\n"
    if os.environ.get("REGENERATE_GOLDEN"):
        file.write_text(made)
    assert made == file.read_text(), f"see the top of {Path(__file__).name}"
