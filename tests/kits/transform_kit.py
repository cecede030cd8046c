"""Runs transform jobs on a local SageMaker with a model that adds the numbers of each CSV row or JSON list."""

from __future__ import annotations

from typing import Any

from tests.conftest import LocalSageMaker
from tests.kits.job_kit import IMAGE, RUNNING, Jobs, archive, eventually

INFERENCE = """
import json, os, time
from werkzeug.wrappers import Response

def model_fn(model_dir):
    if os.path.exists(os.path.join(model_dir, "broken")):
        raise RuntimeError("this model does not load")
    names = ("BATCH", "MAX_PAYLOAD_IN_MB", "BATCH_STRATEGY", "MAX_CONCURRENT_TRANSFORMS")
    print("batch", *(os.environ.get("SAGEMAKER_" + name) for name in names), os.environ.get("COLOUR"))
    return 0

def input_fn(body, content_type):
    if content_type not in ("text/csv", "application/json", "application/jsonlines"):
        return Response("I do not read " + content_type, 415)
    body = body if isinstance(body, str) else body.decode()
    lines = body.splitlines()
    print("request of", len(lines))
    if "text/csv" != content_type:
        return [value["x"] if isinstance(value, dict) else value for value in map(json.loads, lines)]
    rows = [line.split(",") for line in lines]
    for row in rows:
        if row == ["wait"]:
            time.sleep(600)
        if row == ["die"]:
            os._exit(9)
        if row == ["big"]:
            return Response("this row is too big", 400)
    return [[float(value) for value in row] for row in rows]

def predict_fn(rows, model):
    return rows if isinstance(rows, Response) else [sum(row) for row in rows]

def output_fn(sums, accept):
    if isinstance(sums, Response):
        return sums
    if accept in ("application/json", "application/jsonlines"):
        return "\\n".join(json.dumps({"y": value}) for value in sums), accept
    return "\\n".join(map(str, sums)), "text/csv"
"""


class Transforms(Jobs):
    """Transform jobs on one server, of a model `transform-sum`."""

    def __init__(self, server: LocalSageMaker) -> None:
        super().__init__(server)
        if not self.sagemaker.list_models(NameContains="transform-sum")["Models"]:  # one server, several test files
            self.model("transform-sum", {})

    def model(self, name: str, files: dict[str, str]) -> str:
        """A model with these files beside its code."""
        data = self.put(f"{name}/model.tar.gz", archive({"code/inference.py": INFERENCE, **files}))
        environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
        container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": environment}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=self.server.role_arn, PrimaryContainer=container)
        return name

    def request(self, name: str, files: dict[str, str | bytes], **changes: Any) -> dict[str, Any]:
        """A complete request for these objects below <name>/in/; outputs go to <name>/out.

        Members of TransformInput and TransformOutput are changed by their own names (`SplitType="Line"`).
        """
        for key, content in files.items():
            self.put(f"{name}/in/{key}", content)
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.server.bucket}/{name}/in/"}
        source |= {key: changes.pop(key) for key in ("S3DataType", "S3Uri") if key in changes}
        data = {"ContentType": "text/csv", "DataSource": {"S3DataSource": source}}
        data |= {key: changes.pop(key) for key in ("ContentType", "SplitType", "CompressionType") if key in changes}
        output = {"S3OutputPath": f"s3://{self.server.bucket}/{name}/out", "Accept": "text/csv"}
        output |= {key: changes.pop(key) for key in ("Accept", "AssembleWith", "KmsKeyId") if key in changes}
        return {
            "TransformJobName": name,
            "ModelName": "transform-sum",
            "TransformInput": data,
            "TransformOutput": output,
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **changes,
        }

    def transform(self, name: str, files: dict[str, str | bytes], **changes: Any) -> dict[str, Any]:
        """Run a job to its end and return its description."""
        self.sagemaker.create_transform_job(**self.request(name, files, **changes))
        return self.end_of_transform(name)

    def end_of_transform(self, name: str) -> dict[str, Any]:
        """Wait for the end of a job and return its description."""

        def ended() -> Any:
            job = self.sagemaker.describe_transform_job(TransformJobName=name)
            return job if job["TransformJobStatus"] not in RUNNING else None

        job: dict[str, Any] = eventually(ended, f"the end of {name}")
        return job

    def outputs(self, name: str) -> dict[str, str]:
        """Key below <name>/out/ to content."""
        return {key: self.get(f"{name}/out/{key}").decode() for key in self.keys(f"{name}/out/")}

    def streams(self, name: str) -> tuple[list[str], list[str]]:
        """The lines of the container, and those of the data log without their times."""
        group = "/aws/sagemaker/TransformJobs"
        try:
            found = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        except self.logs.exceptions.ResourceNotFoundException:
            return [], []
        container: list[str] = []
        data: list[str] = []
        for stream in (item["logStreamName"] for item in found):
            lines = self._lines(group, stream)
            if stream.endswith("/data-log"):
                data += [line.partition(":[sagemaker logs]: ")[2] for line in lines]
            else:
                container += lines
        return container, data
