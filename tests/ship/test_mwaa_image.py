"""The built files on the versions of Amazon MWAA's newest image (deploy/mwaa/image.txt), installed as it does.

What is left out: the image itself (Amazon Linux, Python 3.12 where this machine has another), Celery, SQS, PostgreSQL.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.laptop.setup.environments import UNREACHABLE, registry_settings
from tests.conftest import REPOSITORY, LocalSageMaker
from tests.ship.deployed import UV, Deployed

pytestmark = pytest.mark.slow
LOCK = REPOSITORY / "locks" / "mwaa.txt"
DAGS = ["flight_delay_promotion", "flight_delay_retraining", "flight_delay_rollback"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the image's packages, from the package index or what uv has kept of it."""
    python = tmp_path_factory.mktemp("image") / "venv" / "bin" / "python"
    uv([str(UV), "venv", "--quiet", "--python", sys.executable, str(python.parents[1])])
    uv([str(UV), "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(LOCK)])
    return python


def uv(command: list[str]) -> None:
    """Run uv; the test is skipped where the package index is out of reach."""
    done = subprocess.run(command, env=os.environ | registry_settings(), capture_output=True, text=True, check=False)
    if done.returncode and any(sign in done.stderr.lower() for sign in UNREACHABLE):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def mwaa(image: Path, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """dist/mwaa uploaded, and its requirements installed by pip as `safe-pip-install` does, with no index to ask."""
    deployed = Deployed(tmp_path_factory.mktemp("mwaa") / "airflow", image).upload(dist / "mwaa").start_up()
    constraints = deployed.home / "airflow_constraints.txt"
    constraints.write_text("\n".join(re.findall(r"^[a-z0-9._-]+==[^ ;]+", LOCK.read_text(), re.MULTILINE)))
    pip = [str(UV.with_name("python")), "-m", "pip", "--python", str(image), "install", "--no-index"]
    requirements = deployed.home / "requirements" / "requirements.txt"
    done = subprocess.run(
        [*pip, "--constraint", str(constraints), "-r", str(requirements)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [installed] = [line for line in done.stdout.splitlines() if line.startswith("Successfully installed")]
    assert installed == "Successfully installed sagemaker-retraining-for-airflow-0.1.0", "nothing else was needed"
    return deployed


@pytest.mark.aws_fact("mwaa-image")
def test_airflows_loaders_take_the_built_files(mwaa: Deployed) -> None:
    found = mwaa.probe()
    assert (found["dags"], found["dag_errors"], found["plugin_errors"]) == (DAGS, {}, {})
    assert found["heavy"] == []


def test_the_dag_processor_stores_the_dags(mwaa: Deployed) -> None:
    """`airflow dag-processor`, as a component of its own: parsed in its processes, serialized, read back."""
    mwaa.run("-m", "airflow", "db", "migrate")
    mwaa.run("-m", "airflow", "dag-processor", "--num-runs", "1")
    assert sorted(dag["dag_id"] for dag in listed(mwaa, "list")) == DAGS
    assert listed(mwaa, "list-import-errors") == []


def listed(mwaa: Deployed, command: str) -> list[dict[str, Any]]:
    """`airflow dags <command>`: its last line is the answer, whatever Airflow warns of before."""
    shown = mwaa.run("-m", "airflow", "dags", command, "--output", "json").stdout
    found: list[dict[str, Any]] = json.loads(shown.splitlines()[-1])
    return found


@pytest.mark.aws_fact("mwaa-aws-default")
def test_the_first_task_of_a_run_freezes_what_was_deployed(mwaa: Deployed, sagemaker_local: LocalSageMaker) -> None:
    """From the installed wheel, the models beside the DAGs and MWAA's own connection: plan.json in S3."""
    s3 = sagemaker_local.client("s3")
    s3.create_bucket(Bucket="my-bucket")
    keys = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    local = {key: sagemaker_local.environment()[key] for key in keys}
    task = ("tasks", "test", "flight_delay_retraining", "plan", "2013-12-01")
    done = mwaa.run("-m", "airflow", *task, check=False, **local)
    [plan] = [
        one["Key"]
        for one in s3.list_objects_v2(Bucket="my-bucket").get("Contents", [])
        if one["Key"].endswith("/plan.json")
    ] or [done.stdout[-3000:] + done.stderr[-3000:]]
    frozen = json.loads(s3.get_object(Bucket="my-bucket", Key=plan)["Body"].read())
    assert frozen["environment"] == "prod"
    revision = (mwaa.home / "dags" / "include" / "revision.txt").read_text().strip()
    assert {"Key": "git_sha", "Value": revision} in frozen["train"]["Tags"]
