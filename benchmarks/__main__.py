"""`make bench`: what the local SageMaker adds to the work itself, each figure taken next to its own baseline.

Runs a local SageMaker of its own in a scratch folder. Prints the figures and writes them to `.local/bench.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.s3 import bench_s3
from benchmarks.serving import IMAGE, ROLE, bench_serving
from include.laptop.layout import HOST, JOBS_PYTHON, LOCAL, LOGS, ROOT, Addresses, LaptopError
from include.laptop.stack import seeds
from include.laptop.stack.clients import client
from include.laptop.stack.components import SAGEMAKER, Component, get_json
from include.laptop.stack.environment import process_environment
from include.laptop.stack.processes import log_tail, start, stop

JOBS = 5
WAITING_RUNS = 200
JOB_SCRIPT = "import pandas\n"


@contextlib.contextmanager
def local_sagemaker(state: str) -> Iterator[Addresses]:
    """A local SageMaker on a free port, for the time of the block."""
    where = Addresses(0, free_port())
    command = [sys.executable, "-m", "include.sagemaker_local", "--port", str(where.sagemaker_port), "--state", state]
    component = Component("bench", [*command, "--python", str(JOBS_PYTHON)], signal.SIGTERM, patience=15)
    process = start(component, process_environment(where))
    try:
        while not get_json(f"{where.sagemaker}/_local/health"):
            if process.poll() is not None:
                raise LaptopError(f"{SAGEMAKER} does not start:\n{log_tail(LOGS / component.log_name)}")
            time.sleep(0.05)
        yield where
    finally:
        stop([(component, process)])


def seconds_of(action: Any, *arguments: Any) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - started


def run_job(api: Any, name: str) -> None:
    """A processing job, from the request to its end as a client that asks every 20 ms sees it."""
    source = {"S3Uri": f"s3://{seeds.BUCKET}/bench/job.py", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    api.create_processing_job(
        ProcessingJobName=name,
        RoleArn=ROLE,
        AppSpecification={
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/job.py"],
        },
        ProcessingInputs=[
            {"InputName": "code", "S3Input": {**source, "LocalPath": "/opt/ml/processing/input/code"}},
        ],
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
        },
    )
    while (job := api.describe_processing_job(ProcessingJobName=name))["ProcessingJobStatus"] == "InProgress":
        time.sleep(0.02)
    if job["ProcessingJobStatus"] != "Completed":
        raise LaptopError(f"{name} is {job['ProcessingJobStatus']}: {job.get('FailureReason')}")


def bench_jobs(where: Addresses, folder: str) -> dict[str, float]:
    """The same script as a job and by itself, in turns."""
    api = client("sagemaker", where)
    script = Path(folder) / "job.py"
    script.write_text(JOB_SCRIPT)
    client("s3", where).put_object(Bucket=seeds.BUCKET, Key="bench/job.py", Body=JOB_SCRIPT.encode())
    jobs, direct = [], []
    for number in range(JOBS):
        jobs.append(seconds_of(run_job, api, f"bench-{number}"))
        direct.append(seconds_of(subprocess.check_call, [str(JOBS_PYTHON), str(script)]))
    job, script_alone = statistics.median(jobs), statistics.median(direct)
    return {"job_seconds": job, "script_seconds": script_alone, "job_overhead_seconds": job - script_alone}


def bench_waiting() -> dict[str, float]:
    """Many Airflow runs that wait at once, on a stack of their own (a process of its own: it reads its environment)."""
    sys.stdout.write(f"{WAITING_RUNS} runs wait at once; this takes some minutes …\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        ports = {"AIRFLOW_PORT": str(free_port()), "SAGEMAKER_PORT": str(free_port())}
        dags = str(Path(__file__).with_name("dags"))
        environment = {**os.environ, **ports, "RETRAINING_LOCAL": folder, "RETRAINING_DAGS_FOLDER": dags}
        command = [sys.executable, "-m", "benchmarks.waiting", str(WAITING_RUNS)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {f"waiting_{name}": value for name, value in figures.items()}


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def main() -> int:
    """Measure, print, write."""
    folder = tempfile.TemporaryDirectory()
    with folder, tempfile.TemporaryDirectory() as state, local_sagemaker(state) as where:
        seeds.seed(where, seeds.models_with_data(), lambda name, seconds: None)
        figures: dict[str, Any] = {**bench_jobs(where, folder.name)}
        figures |= bench_s3(where, Path(folder.name))
        figures |= bench_serving(where, Path(state), Path(folder.name))
        health = get_json(f"{where.sagemaker}/_local/health") or {}
        figures["memory_mb"] = health["memory_rss_bytes"] / 1000**2
    figures |= bench_waiting()
    figures = rounded(figures)
    show(figures)
    (LOCAL / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """To three decimals, at every depth."""
    return {name: rounded(value) if isinstance(value, dict) else round(value, 3) for name, value in figures.items()}


def show(figures: dict[str, Any], prefix: str = "") -> None:
    """One line for each figure."""
    for name, value in figures.items():
        if isinstance(value, dict):
            show(value, f"{prefix}{name} ")
        else:
            sys.stdout.write(f"{prefix + name:<30} {value:10.3f}\n")


if __name__ == "__main__":
    sys.exit(main())
