"""What the tests of the SageMaker SDK v3 train and serve, and its session of a local SageMaker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LocalSageMaker

SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
MARKS = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="the SageMaker SDK cannot be installed beside Airflow here"),
]
NO_TELEMETRY = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}
TRAIN = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=float, default=2)
options = parser.parse_args()
rows = [p.read_text() for p in pathlib.Path(os.environ["SM_CHANNEL_TRAIN"]).rglob("*.csv")]
print("rows:", len(rows), "auc:0.75")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps({"factor": options.factor}))
checkpoints = pathlib.Path("/opt/ml/checkpoints")
if checkpoints.is_dir():
    (checkpoints / "last").write_text("1")
"""
INFERENCE = """
import json, os

def model_fn(model_dir):
    with open(os.path.join(model_dir, "model.json")) as file:
        return json.load(file)

def input_fn(body, content_type):
    return [float(value) for value in (body if isinstance(body, str) else body.decode()).split()]

def predict_fn(values, model):
    return [value * model["factor"] for value in values]

def output_fn(values, accept):
    return "\\n".join(map(str, values)), "text/csv"
"""
PROCESS = """
import os, pathlib, sys
folder = pathlib.Path("/opt/ml/processing")
found = sorted(p.name for p in (folder / "input").rglob("*.csv"))
print("arguments", sys.argv[1:])
target = folder / "output"
target.mkdir(parents=True, exist_ok=True)
(target / "report.txt").write_text(" ".join([*sys.argv[1:], os.environ.get("COLOUR", ""), *found]))
"""


def environment(server: LocalSageMaker) -> dict[str, str]:
    """How the SDK reaches the server."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def session(server: LocalSageMaker) -> Any:
    """The SDK's session; its default bucket is the test bucket."""
    import boto3
    from sagemaker.core.helper.session_helper import Session

    return Session(
        boto_session=boto3.Session(region_name="us-east-1"),
        default_bucket=server.bucket,
        sagemaker_config=NO_TELEMETRY,
    )


def source(folder: Path) -> Path:
    """A source directory with all scripts, and a folder of data beside it."""
    scripts, data = folder / "source", folder / "data"
    for made in (scripts, data):
        made.mkdir(parents=True)
    (scripts / "train.py").write_text(TRAIN)
    (scripts / "inference.py").write_text(INFERENCE)
    (scripts / "process.py").write_text(PROCESS)
    (data / "rows.csv").write_text("1\n2\n")
    return scripts
