"""The quickest faults of `make chaos`, as a user runs them, in a folder of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.suite import FaultResult
from tests.conftest import REPOSITORY

FAULTS = ["mark_failed_deferred", "stopped_in_console", "kill_triggerer"]
WAIT_SECONDS = 580


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[FaultResult]:
    """What the suite wrote down."""
    folder: Path = tmp_path_factory.mktemp("faults")
    environment = os.environ | {"RETRAINING_LOCAL": str(folder / "chaos")}
    suite = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *FAULTS],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert suite.returncode == 0, suite.stdout + suite.stderr
    written: list[FaultResult] = json.loads((folder / "chaos.json").read_text())
    return written


def test_every_fault_is_written_down(results: list[FaultResult]) -> None:
    assert [result["fault"] for result in results] == FAULTS
    assert {frozenset(result) for result in results} == {FaultResult.__required_keys__}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_costs_no_second_job(results: list[FaultResult], fault: str) -> None:
    result = next(result for result in results if result["fault"] == fault)
    assert result["ok"], result["outcome"]
    assert (result["runs"], result["jobs_created"], result["duplicates"]) == (1, 1, 0)


def test_a_fault_that_does_not_exist_is_named() -> None:
    suite = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "kill_everything"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert suite.returncode == 2
    assert "kill_everything is not a fault; there are: kill_worker, kill_triggerer" in suite.stderr
