"""Real data and a small trained model, made once for all tests of flight_delay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kits import flight_delay_kit as kit

PERIOD = "2013-02"


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the twelve monthly partitions that sample_data.py writes."""
    folder = tmp_path_factory.mktemp("flight_delay") / "raw"
    done = kit.script("sample_data.py", "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def sets(raw: Path) -> Path:
    """The folder with train, validation and test sets for February, learnt from January alone."""
    base = raw.parent / "sets"
    (base / "processing/input").mkdir(parents=True)
    (base / "processing/input/raw").symlink_to(raw)
    done = kit.preprocess(base, PERIOD)
    assert done.returncode == 0, done.stderr
    return base / "processing/output"


@pytest.fixture(scope="session")
def trained(sets: Path) -> Path:
    """The folder with `model`, `model.tar.gz` and `checkpoints` of an uninterrupted training."""
    base = sets.parent.parent / "trained"
    done = kit.train(sets, base / "model", base / "checkpoints")
    assert done.returncode == 0, done.stderr
    (base / "log").write_text(done.stdout)
    subprocess.run(["tar", "-czf", base / "model.tar.gz", "-C", base / "model", "."], check=True)
    return base
