"""The real model as Spot training jobs of the local SageMaker: interruptions must not change what it predicts."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import LocalSageMaker
from tests.kits import flight_delay_kit as kit
from tests.kits.job_kit import Jobs, archive

pytestmark = pytest.mark.slow
CALM, SHAKEN = "spot-flight-delay-calm", "spot-flight-delay-shaken"
INTERRUPTIONS = 3
# A small month is trained quickly: so many rounds that a checkpoint is there long enough to be uploaded (two scans,
# 0.4 s) before the next three replace it, and that there is one before each interruption and after the last.
ROUNDS = {"num_round": 800, "checkpoint_every": 50}
PREDICT = """
import json, pandas as pd
from features import FEATURES
from inference import Rows, model_fn, predict_fn
rows = pd.read_parquet(sys.argv[1])[list(FEATURES)].head(3000).astype(object)
rows = rows.where(rows.notna(), None).to_dict("records")
answers = [predict_fn(Rows(rows), model_fn(folder)) for folder in sys.argv[2:]]
print(json.dumps([[float(value) for value in answer] for answer in answers]))
"""


def request(jobs: Jobs, sets: Path, name: str) -> dict[str, Any]:
    """As a run trains it: the model's own scripts and hyperparameters, on Spot, on the sets of a small month."""
    hyperparameters = yaml.safe_load((kit.FOLDER / "model.yaml").read_text())["train"]["hyperparameters"]
    scripts = {file.name: file.read_text() for file in kit.FOLDER.glob("*.py")}
    channels = []
    for channel in ("train", "validation"):
        for file in (sets / channel).iterdir():
            jobs.put(f"{name}/{channel}/{file.name}", file.read_bytes())
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.server.bucket}/{name}/{channel}/"}
        channels.append({"ChannelName": channel, "DataSource": {"S3DataSource": source}})
    made = jobs.training_request(name, "", **jobs.spot(name), InputDataConfig=channels)
    jobs.put(f"{name}/sourcedir.tar.gz", archive(scripts))
    made["HyperParameters"] |= {key: str(value) for key, value in (hyperparameters | ROUNDS).items()}
    return made


@pytest.fixture(scope="module")
def trained_twice(sagemaker_local: LocalSageMaker, sets: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The unpacked artefacts of both jobs, of which one was interrupted."""
    jobs = Jobs(sagemaker_local)
    rule = {"job": SHAKEN, "after_checkpoints": 1, "gap_seconds": 0.1, "times": INTERRUPTIONS}
    assert jobs.spot_settings({"rules": [rule]})[0] == 200
    folders = []
    for name, expected in ((CALM, 0), (SHAKEN, INTERRUPTIONS)):
        jobs.sagemaker.create_training_job(**request(jobs, sets, name))
        job = end_of(jobs, name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert [change["Status"] for change in job["SecondaryStatusTransitions"]].count("Interrupted") == expected
        folders.append(tmp_path_factory.mktemp(name))
        key = job["ModelArtifacts"]["S3ModelArtifacts"].partition(f"{jobs.server.bucket}/")[2]
        (folders[-1] / "model.tar.gz").write_bytes(jobs.get(key))
        with tarfile.open(folders[-1] / "model.tar.gz") as packed:
            packed.extractall(folders[-1], filter="data")
    jobs.spot_settings({})
    return folders


def end_of(jobs: Jobs, name: str) -> dict[str, Any]:
    """The described job when it has ended: five starts of Python with pandas take their time on a busy machine."""
    waiter = jobs.sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    job: dict[str, Any] = jobs.sagemaker.describe_training_job(TrainingJobName=name)
    return job


def test_it_went_on_from_checkpoints_each_time(sagemaker_local: LocalSageMaker, trained_twice: list[Path]) -> None:
    streams = Jobs(sagemaker_local).log_streams("Training", SHAKEN)
    starts = [line for lines in streams for line in lines if line.startswith(("Starting from", "Resuming from"))]
    assert starts[0] == "Starting from round 0"
    assert len(starts) == 1 + INTERRUPTIONS
    assert all(line.startswith("Resuming from checkpoint at round ") for line in starts[1:])


def test_the_predictions_are_those_of_the_uninterrupted_training(trained_twice: list[Path], sets: Path) -> None:
    """For each of 3000 flights that the model has not seen, to the last digit."""
    calm, shaken = kit.jobs_python(PREDICT, sets / "test", *trained_twice)
    assert len(calm) > 1000
    assert len(set(calm)) > 1000
    assert shaken == calm
