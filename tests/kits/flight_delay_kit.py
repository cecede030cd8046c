"""Runs flight_delay's scripts the way SageMaker does: as processes, in the jobs' Python environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from include.sagemaker_local.operations.first_party import metric_definitions
from tests.conftest import JOBS_PYTHON as PYTHON

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "include/models/flight_delay"
SMALL = ["--num_round", "40", "--checkpoint_every", "10", "--max_depth", "4", "--eta", "0.1"]


def script(name: str, *arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of the model's scripts to its end, whatever its exit status."""
    command = [str(PYTHON), str(FOLDER / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def jobs_python(code: str, *arguments: str | Path) -> Any:
    """Run `code` in the jobs' environment, where the model's modules import; what it prints last, read as JSON."""
    prologue = f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
    command = [str(PYTHON), "-c", prologue + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def preprocess(base: Path, period: str) -> subprocess.CompletedProcess[str]:
    """Run preprocess.py in the folders under `base`, which stands for /opt/ml."""
    folders = ["--input", base / "processing/input", "--output", base / "processing/output"]
    return script("preprocess.py", "--period", period, *folders)


def evaluate(base: Path, period: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run evaluate.py in the folders under `base`, with further environment variables."""
    folders = ["--input", base / "processing/input", "--output", base / "processing/output"]
    return script("evaluate.py", "--period", period, *folders, env=os.environ | environment)


def train(sets: Path, model_dir: Path, checkpoints: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a small training on `sets/train` and `sets/validation`."""
    folders = ["--train", sets / "train", "--validation", sets / "validation"]
    return script("train.py", *folders, "--model_dir", model_dir, "--checkpoint_dir", checkpoints, *SMALL, *options)


def metrics_in(log: str) -> dict[str, int]:
    """How many lines of a training's output SageMaker reads each metric from."""
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
    lines = log.replace("\t", "#011").splitlines()
    found = {
        one["Name"]: sum(re.match(one["Regex"], line) is not None for line in lines)
        for one in metric_definitions(image)
    }
    return {name: count for name, count in found.items() if count}
