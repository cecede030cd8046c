"""How much many runs that wait at once cost: memory of the one triggerer, calls of SageMaker's API, worker slots.

`python -m benchmarks.waiting RUNS` starts a stack in the folder RETRAINING_LOCAL names, with the DAGs of
RETRAINING_DAGS_FOLDER, and prints the figures as JSON. `make bench` runs it so.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
import time
from typing import Any

import httpx

from include.laptop.layout import Addresses, LaptopError
from include.laptop.stack import lifecycle, seeds
from include.laptop.stack.airflow_api import AirflowApi
from include.laptop.stack.clients import client
from include.laptop.stack.components import get_json
from include.laptop.stack.processes import marked_processes

DAG_ID, GROUP = "waiting", "waiting"
WATCHED_SECONDS = 90
START_SECONDS = 900
TRIES = 20
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"


def register(where: Addresses) -> str:
    """A version that nobody will decide on; its ARN."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz"):
        pass
    s3, api = client("s3", where), client("sagemaker", where)
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=seeds.BUCKET)
    s3.put_object(Bucket=seeds.BUCKET, Key="waiting/model.tar.gz", Body=buffer.getvalue())
    api.create_model_package_group(ModelPackageGroupName=GROUP)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{seeds.BUCKET}/waiting/model.tar.gz"}
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    arn: str = api.create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification=specification,
    )["ModelPackageArn"]
    return arn


def wait_for(what: str, probe: Any) -> None:
    """Until the probe is true. Raises LaptopError after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while not probe():
        if time.monotonic() > deadline:
            raise LaptopError(f"{what}: not after {START_SECONDS} s")
        time.sleep(1)


def triggerer_bytes() -> int:
    """Memory of the triggerer's processes that is theirs alone."""
    triggerers = [process for process in marked_processes() if "triggerer" in " ".join(process.cmdline())]
    return sum(process.memory_full_info().uss for process in triggerers)


def states(api: AirflowApi) -> dict[str, int]:
    """State of a task → how many tasks of all runs are in it."""
    counts: dict[str, int] = {}
    for state in ("deferred", "running", "queued"):
        found = api.get(f"dags/{DAG_ID}/dagRuns/~/taskInstances", state=state, limit=1)
        counts[state] = found["total_entries"]
    return counts


def measure(where: Addresses, runs: int) -> dict[str, Any]:
    """Start the runs, wait until all wait, watch for a while."""
    arn = register(where)
    api = AirflowApi(where.airflow, "admin", "admin")
    with contextlib.closing(api):
        wait_for("the DAG", lambda: api.has_dag(DAG_ID))
        api.unpause(DAG_ID)
        before = triggerer_bytes()
        for number in range(runs):
            trigger(api, f"bench-{number}", arn)
        wait_for(f"{runs} runs to wait", lambda: states(api)["deferred"] == runs)
        calls = looks(where)
        time.sleep(WATCHED_SECONDS)  # what is measured is a rate
        per_minute = (looks(where) - calls) * 60 / WATCHED_SECONDS
        waiting = states(api)
    return {
        "runs": runs,
        "waiting": waiting["deferred"],
        "worker_slots": waiting["running"] + waiting["queued"],
        "triggerer_mb": round(triggerer_bytes() / 1e6),
        "triggerer_mb_idle": round(before / 1e6),
        "calls_per_minute": round(per_minute),
        "calls_per_run_per_30_s": round(per_minute / runs / 2, 4),
    }


def trigger(api: AirflowApi, run_id: str, arn: str) -> None:
    """Start a run, and again when Airflow's SQLite was locked; 409 says that it had been started all the same."""
    for _ in range(TRIES):
        try:
            api.trigger(DAG_ID, run_id, {"model_package_arn": arn})
            return
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 409:
                return
            if error.response.status_code != 500:
                raise
        time.sleep(1)
    raise LaptopError(f"Airflow does not start {run_id}")


def looks(where: Addresses) -> int:
    """How many calls that look at the registry the local SageMaker has answered."""
    faults = get_json(f"{where.sagemaker}/_local/faults") or {}
    counts: dict[str, int] = faults["counts"]["by_operation"]
    return sum(counts.get(operation, 0) for operation in ("ListModelPackages", "DescribeModelPackage"))


def main(runs: int) -> int:
    """Print the figures as one JSON object."""
    running = lifecycle.start([], lambda name, seconds: None, detached=False)
    try:
        figures = measure(running.where, runs)
    finally:
        running.stop()
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
