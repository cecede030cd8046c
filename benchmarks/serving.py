"""Requests to an endpoint that serves flight_delay with data capture on: alone, four clients, and during updates."""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import subprocess
import tarfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import Any

from include.laptop.layout import JOBS_PYTHON, MODELS, Addresses
from include.laptop.stack import seeds
from include.laptop.stack.clients import client

ENDPOINT, VARIANT = "bench-flight-delay", "AllTraffic"
MODEL, PERIOD = "flight_delay", "2013-03"
ROLE = "arn:aws:iam::123456789012:role/sagemaker-retraining-local"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
CAPTURED_PERCENT = 20
WARM_UP, ALONE, CLIENTS, EACH = 50, 1000, 4, 1000
REQUESTS, EVERY_SECONDS, BEFORE, AFTER = 5000, 0.01, 1000, 1000
ROWS = """
import sys
import pandas as pd
sys.path.insert(0, sys.argv[1])
from features import FEATURES
rows = pd.read_parquet(sys.argv[2])[list(FEATURES)].head(500)
print(rows.to_csv(header=False, index=False), end="")
"""


def bench_serving(where: Addresses, state: Path, folder: Path) -> dict[str, Any]:
    """The figures `invoke` and `update`; `folder` gets the model, `state` is that of the local SageMaker."""
    rows = train(folder)
    archive = folder / "model.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(folder / "model", arcname=".")
    client("s3", where).upload_file(str(archive), seeds.BUCKET, "bench/flight_delay/model.tar.gz")
    api = client("sagemaker", where)
    configs = [create_config(api, number) for number in range(4)]
    api.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=configs[0])
    wait_in_service(api)
    invoke = bench_invoke(where, rows)
    invoke["captured"] = captured(where, state)
    invoke["capture_expected"] = share(WARM_UP + ALONE + CLIENTS * (WARM_UP + EACH))
    update = bench_updates(where, rows, configs[1:])
    update["captured"] = captured(where, state) - invoke["captured"]
    update["capture_expected"] = share(update["requests"] - update["failed"])
    return {"invoke": invoke, "update": update}


def train(folder: Path) -> list[str]:
    """Run the model's own scripts on its sample data; a model in `folder`/model, and rows to ask it about."""
    scripts = MODELS / MODEL
    raw, sets = folder / "input" / "raw", folder / "sets"
    run = [str(JOBS_PYTHON)]
    for command in (
        [scripts / "sample_data.py", "--output", raw],
        [scripts / "preprocess.py", "--period", PERIOD, "--input", folder / "input", "--output", sets],
        [scripts / "train.py", "--train", sets / "train", "--validation", sets / "validation",
         "--model_dir", folder / "model", "--checkpoint_dir", folder / "checkpoints"],
    ):  # fmt: skip
        subprocess.run([*run, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
    printed = subprocess.run(
        [*run, "-c", ROWS, str(scripts), str(sets / "test" / "test.parquet")],
        check=True,
        capture_output=True,
        text=True,
    )
    return printed.stdout.splitlines()


def create_config(api: Any, number: int) -> str:
    """A config, with a model of its own, that captures a part of the requests; its name."""
    name = f"bench-flight-delay-{number}"
    container = {
        "Image": IMAGE,
        "ModelDataUrl": f"s3://{seeds.BUCKET}/bench/flight_delay/model.tar.gz",
        "Environment": {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        },
    }
    api.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": VARIANT, "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    api.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[variant],
        DataCaptureConfig={
            "InitialSamplingPercentage": CAPTURED_PERCENT,
            "DestinationS3Uri": f"s3://{seeds.BUCKET}/bench/data-capture",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
    )
    return name


def wait_in_service(api: Any) -> None:
    """Until the endpoint is in service."""
    api.get_waiter("endpoint_in_service").wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 600})


@dataclass
class Client:
    """Sends rows one after the other over a kept-alive connection, and keeps when each answer came, and how late."""

    where: Addresses
    rows: list[str]
    answers: list[tuple[float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._runtime = client("sagemaker-runtime", self.where)
        self._rows = itertools.cycle(self.rows)

    def ask(self) -> None:
        """One request."""
        started = time.perf_counter()
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=ENDPOINT, ContentType="text/csv", Accept="text/csv", Body=next(self._rows)
            )
            float(answer["Body"].read())
        except Exception as error:
            self.failures.append(repr(error))
        else:
            ended = time.perf_counter()
            self.answers.append((ended, 1000 * (ended - started)))

    def ask_often(self, times: int) -> None:
        """Requests without a pause."""
        for _ in range(times):
            self.ask()


def bench_invoke(where: Addresses, rows: list[str]) -> dict[str, Any]:
    """Latency seen by one client, and requests per second of several at once, each a process of its own."""
    Client(where, rows).ask_often(WARM_UP)
    alone = Client(where, rows)
    alone.ask_often(ALONE)
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(CLIENTS, spawn) as processes:
        ready = manager.Barrier(CLIENTS)
        clients = [processes.submit(ask_together, where, rows, ready) for _ in range(CLIENTS)]
        begins, ends, failed = zip(*(one.result() for one in clients), strict=True)
    return {
        **percentiles([latency for _, latency in alone.answers]),
        "requests_per_s": CLIENTS * EACH / (max(ends) - min(begins)),
        "failed": len(alone.failures) + sum(failed),
    }


def ask_together(where: Addresses, rows: list[str], ready: Barrier) -> tuple[float, float, int]:
    """One of several clients, in a process of its own; begin and end of its requests, and how many failed."""
    one = Client(where, rows)
    one.ask_often(WARM_UP)
    ready.wait()
    begin = time.perf_counter()
    one.ask_often(EACH)
    return begin, time.perf_counter(), len(one.failures)


def bench_updates(where: Addresses, rows: list[str], configs: list[str]) -> dict[str, Any]:
    """A client at a steady rate while the endpoint is updated all at once, with a canary, and in linear steps."""
    steady = Client(where, rows)
    updated = threading.Event()

    def send() -> None:
        after, due = 0, time.perf_counter()
        while len(steady.answers) + len(steady.failures) < REQUESTS or after < AFTER:
            steady.ask()
            after += updated.is_set()
            due = max(due + EVERY_SECONDS, time.perf_counter() - 1)
            time.sleep(max(0.0, due - time.perf_counter()))  # a steady rate, whatever the answers take

    sender = threading.Thread(target=send)
    sender.start()
    while len(steady.answers) < BEFORE and sender.is_alive():
        time.sleep(0.05)
    begin = time.perf_counter()
    update_three_times(client("sagemaker", where), client("cloudwatch", where), configs)
    end = time.perf_counter()
    updated.set()
    sender.join()
    phases = {
        "before": [latency for at, latency in steady.answers if at < begin],
        "during": [latency for at, latency in steady.answers if begin <= at < end],
        "after": [latency for at, latency in steady.answers if at >= end],
    }
    figures = {phase: percentiles(latencies) for phase, latencies in phases.items()}
    return {
        "requests": len(steady.answers) + len(steady.failures),
        "failed": len(steady.failures),
        **{name: {phase: found[name] for phase, found in figures.items()} for name in ("p50_ms", "p99_ms")},
    }


def update_three_times(api: Any, cloudwatch: Any, configs: list[str]) -> None:
    """All at once, canary, linear; the last two with an alarm that is watched. Raises when one is rolled back."""
    alarm = f"{ENDPOINT}-errors"
    dimensions = {"EndpointName": ENDPOINT, "VariantName": VARIANT}
    cloudwatch.put_metric_alarm(
        AlarmName=alarm,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        Statistic="Average",
        Period=10,
        EvaluationPeriods=1,
        Threshold=0.01,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    size = {"Type": "CAPACITY_PERCENT", "Value": 25}
    routings: list[dict[str, Any]] = [
        {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 3},
        {"Type": "LINEAR", "LinearStepSize": size, "WaitIntervalInSeconds": 1},
    ]
    for config, routing in zip(configs, routings, strict=True):
        policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 1}
        deployment = {
            "BlueGreenUpdatePolicy": policy,
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
        }
        api.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config, DeploymentConfig=deployment)
        wait_in_service(api)
        found = api.describe_endpoint(EndpointName=ENDPOINT)
        if found["EndpointConfigName"] != config:
            raise RuntimeError(f"the update to {config} was rolled back: {found.get('FailureReason')}")


def captured(where: Addresses, state: Path) -> int:
    """How many events are in S3, once nothing waits to go there any more."""
    while any((state / "capture").iterdir()):
        time.sleep(0.1)
    s3 = client("s3", where)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=seeds.BUCKET, Prefix="bench/data-capture/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return sum(s3.get_object(Bucket=seeds.BUCKET, Key=key)["Body"].read().count(b"\n") for key in keys)


def share(requests: int) -> int:
    """How many of these requests should be captured, on average."""
    return requests * CAPTURED_PERCENT // 100


def percentiles(latencies: list[float]) -> dict[str, float]:
    """`p50_ms` and `p99_ms`."""
    return {"p50_ms": statistics.median(latencies), "p99_ms": sorted(latencies)[int(0.99 * len(latencies))]}
