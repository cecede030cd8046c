"""A tiny model for endpoint tests, y = factor * x, that can be slow, not load, not predict, or end its container."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
INFERENCE = """
import json, os, time

def model_fn(model_dir):
    with open(os.path.join(model_dir, "model.json")) as file:
        model = json.load(file)
    print("model_fn", model_dir, "factor", model["factor"])
    time.sleep(model.get("load_seconds", 0))
    if model.get("broken"):
        raise RuntimeError("this model does not load")
    if model.get("crashes") == "loading":
        os._exit(3)
    return model

def input_fn(body, content_type):
    if content_type.startswith("application/json"):
        return json.loads(body)["x"]
    return [float(value) for value in (body if isinstance(body, str) else body.decode()).strip().split(",")]

def predict_fn(values, model):
    time.sleep(model.pop("first_seconds", 0))
    time.sleep(model.get("seconds", 0))
    if model.get("crashes") == "predicting":
        os._exit(9)
    if -1 in values or model.get("fails"):
        raise ValueError("negative input")
    if -2 in values:
        os._exit(9)
    return [value * model["factor"] for value in values]

def output_fn(prediction, accept):
    if accept == "text/csv":
        return ",".join(map(str, prediction)), "text/csv"
    return json.dumps({"y": prediction}), "application/json"
"""
HEALTH_CHECK = (
    "The primary container for production variant AllTraffic did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)
SETTLED = ("InService", "Failed", "UpdateRollbackFailed")
CONTENT_TYPES = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}


def model_archive(**model: Any) -> bytes:
    """A model.tar.gz whose model.json holds these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in (("model.json", json.dumps(model)), ("code/inference.py", INFERENCE)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Kit:
    """Makes models, configs and endpoints on a local SageMaker, and waits for them."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.sagemaker = server.client("sagemaker")
        self.runtime = server.client("sagemaker-runtime")
        self.s3 = server.client("s3")

    def metric(self, name: str, endpoint: str, variant: str) -> float:
        """The sum of a CloudWatch metric over the last hour."""
        now = datetime.now(UTC)
        points = self.server.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=1),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    def config(self, name: str, capture: dict[str, Any] | None = None, variants: Any = None, **model: Any) -> str:
        """An endpoint config with a model of the same name, in one variant (or `variants`: name to weight)."""
        key = f"endpoint-tests/{name}/model.tar.gz"
        self.s3.put_object(Bucket=self.server.bucket, Key=key, Body=model_archive(**{"factor": 2, **model}))
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.server.role_arn,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": f"s3://{self.server.bucket}/{key}",
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                },
            },
        )
        request: dict[str, Any] = {
            "EndpointConfigName": name,
            "ProductionVariants": [
                {
                    "VariantName": variant,
                    "ModelName": name,
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                    "InitialVariantWeight": weight,
                }
                for variant, weight in (variants or {"AllTraffic": 1}).items()
            ],
        }
        if capture is not None:
            request["DataCaptureConfig"] = capture
        self.sagemaker.create_endpoint_config(**request)
        return name

    def capture(self, prefix: str, percentage: int = 100, **changes: Any) -> dict[str, Any]:
        """A DataCaptureConfig that writes to the test bucket."""
        return {
            "EnableCapture": True,
            "InitialSamplingPercentage": percentage,
            "DestinationS3Uri": f"s3://{self.server.bucket}/{prefix}",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": CONTENT_TYPES,
            **changes,
        }

    def create(self, name: str, config: str) -> dict[str, Any]:
        """An endpoint, and its description once it has settled."""
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return self.settled(name)

    def update(self, name: str, config: str, **options: Any) -> dict[str, Any]:
        """Update, and the description once it has settled."""
        self.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **options)
        return self.settled(name)

    def settled(self, name: str) -> dict[str, Any]:
        """The description once nothing is under way at the endpoint any more."""

        def describe() -> dict[str, Any] | None:
            found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            return found if found["EndpointStatus"] in SETTLED else None

        found: dict[str, Any] = wait_for(describe, f"endpoint {name} to settle")
        return found

    def alarm(self, name: str, endpoint: str = "", config: str = "", **options: Any) -> dict[str, Any]:
        """A CloudWatch alarm, on a metric of an endpoint if one is named; the DeploymentConfig member that uses it."""
        dimensions = {"EndpointName": endpoint, "VariantName": endpoint and "AllTraffic", "EndpointConfigName": config}
        request = {
            "Namespace": "AWS/SageMaker" if endpoint else "Tests",
            "MetricName": "Anything",
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items() if value],
            "Period": 10,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            **options,
        }
        if "ExtendedStatistic" not in request:
            request.setdefault("Statistic", "Average")
        self.server.client("cloudwatch").put_metric_alarm(AlarmName=name, **request)
        return {"Alarms": [{"AlarmName": name}]}

    def delete(self, name: str) -> None:
        """Delete, and wait until it is gone."""
        self.sagemaker.delete_endpoint(EndpointName=name)
        wait_for(lambda: name not in self.names(), f"endpoint {name} to be gone")

    def names(self) -> list[str]:
        """All endpoints."""
        return [endpoint["EndpointName"] for endpoint in self.sagemaker.list_endpoints(MaxResults=100)["Endpoints"]]

    def invoke(self, name: str, body: bytes | str = "1,2", **options: Any) -> str:
        """The answer's body; CSV in and out unless told otherwise."""
        options = {"ContentType": "text/csv", "Accept": "text/csv", **options}
        answer: bytes = self.runtime.invoke_endpoint(EndpointName=name, Body=body, **options)["Body"].read()
        return answer.decode()

    def objects(self, prefix: str) -> dict[str, bytes]:
        """Key to content."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.server.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: self.s3.get_object(Bucket=self.server.bucket, Key=key)["Body"].read() for key in keys}

    def events(self, prefix: str) -> Iterator[dict[str, Any]]:
        """All captured events under a prefix."""
        for content in self.objects(prefix).values():
            yield from (json.loads(line) for line in content.splitlines())


def wait_for(probe: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """The probe's first truthy answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def serving(state: Path) -> list[str]:
    """The process ids of the containers whose state directory this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if "serve.py" in (process / "cmdline").read_text() and str(state) in (process / "environ").read_text():
                found.append(process.name)
        except OSError:
            continue
    return found
