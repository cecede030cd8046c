"""The provider's own, unsubclassed SageMaker operators against the local SageMaker: users' other DAGs run on it too."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerEndpointOperator,
    SageMakerProcessingOperator,
    SageMakerRegisterModelVersionOperator,
    SageMakerTrainingOperator,
    SageMakerTransformOperator,
)
from airflow.sdk.exceptions import TaskDeferred

from tests.conftest import LocalSageMaker
from tests.kits.job_kit import OWN_IMAGE

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
COUNT = """
from pathlib import Path
lines = sum(len(p.read_text().splitlines()) for p in Path("/opt/ml/processing/input/data").iterdir())
Path("/opt/ml/processing/output/count.txt").write_text(str(lines))
"""
TRAIN = """
import json, os
from pathlib import Path
lines = [float(x) for x in (Path(os.environ["SM_CHANNEL_TRAIN"]) / "data.csv").read_text().split()]
print("mean:", sum(lines) / len(lines))
(Path(os.environ["SM_MODEL_DIR"]) / "mean.json").write_text(json.dumps(sum(lines) / len(lines)))
code = Path(os.environ["SM_MODEL_DIR"]) / "code"
code.mkdir()
(code / "inference.py").write_text((Path(__file__).parent / "inference.py").read_text())
"""
INFERENCE = """
import json
from pathlib import Path
def model_fn(model_dir): return json.loads((Path(model_dir) / "mean.json").read_text())
def input_fn(body, content_type): return float(body)
def predict_fn(data, model): return data - model
def output_fn(prediction, accept): return str(prediction)
"""


pytestmark = pytest.mark.usefixtures("aws_connection")


def put(server: LocalSageMaker, key: str, body: str | bytes) -> str:
    server.client("s3").put_object(Bucket=server.bucket, Key=key, Body=body)
    return f"s3://{server.bucket}/{key}"


def tar(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def training_config(server: LocalSageMaker, name: str) -> dict[str, Any]:
    code = put(server, f"provider/{name}/sourcedir.tar.gz", tar({"train.py": TRAIN, "inference.py": INFERENCE}))
    put(server, f"provider/{name}/train/data.csv", "1\n2\n3\n")
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "HyperParameters": {
            "sagemaker_program": json.dumps("train.py"),
            "sagemaker_submit_directory": json.dumps(code),
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{server.bucket}/provider/{name}/train/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{server.bucket}/provider/{name}/model"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "RoleArn": server.role_arn,
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }


def test_processing(sagemaker_local: LocalSageMaker) -> None:
    code = put(sagemaker_local, "provider/count/count.py", COUNT)
    put(sagemaker_local, "provider/count/in/data.csv", "a\nb\nc\n")
    outputs = f"s3://{sagemaker_local.bucket}/provider/count/out"
    config = {
        "ProcessingJobName": "provider-processing",
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/count.py"],
        },
        "ProcessingInputs": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"/opt/ml/processing/input/{name}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for name, uri in {"code": code, "data": f"s3://{sagemaker_local.bucket}/provider/count/in/"}.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "count",
                    "S3Output": {
                        "S3Uri": outputs,
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        "RoleArn": sagemaker_local.role_arn,
    }
    first = SageMakerProcessingOperator(task_id="p", config=config, check_interval=1).execute({})
    assert first["Processing"]["ProcessingJobStatus"] == "Completed"
    body = sagemaker_local.client("s3").get_object(Bucket=sagemaker_local.bucket, Key="provider/count/out/count.txt")
    assert body["Body"].read() == b"3"
    # The provider renames when the job exists: it must see that it does.
    again = SageMakerProcessingOperator(task_id="p", config=dict(config), check_interval=1).execute({})
    assert again["Processing"]["ProcessingJobName"].startswith("provider-processing-")


def test_train_register_deploy(sagemaker_local: LocalSageMaker) -> None:
    config = training_config(sagemaker_local, "provider-training")
    training = SageMakerTrainingOperator(task_id="t", config=config, print_log=False, check_interval=1).execute({})
    artefact = training["Training"]["ModelArtifacts"]["S3ModelArtifacts"]
    assert training["Training"]["TrainingJobStatus"] == "Completed"

    def register() -> str:
        arn: str = SageMakerRegisterModelVersionOperator(
            task_id="r", image_uri=IMAGE, model_url=artefact, package_group_name="provider-group"
        ).execute({})
        return arn

    assert [register().rsplit("/", 1)[1] for _ in range(2)] == ["1", "2"]

    def deploy(version: str, operation: str) -> dict[str, Any]:
        config = {
            "Model": {
                "ModelName": f"provider-{version}",
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "ModelDataUrl": artefact,
                    "Environment": {
                        "SAGEMAKER_PROGRAM": "inference.py",
                        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    },
                },
                "ExecutionRoleArn": sagemaker_local.role_arn,
            },
            "EndpointConfig": {
                "EndpointConfigName": f"provider-{version}",
                "ProductionVariants": [
                    {
                        "VariantName": "AllTraffic",
                        "ModelName": f"provider-{version}",
                        "InitialInstanceCount": 1,
                        "InstanceType": "ml.m5.large",
                    }
                ],
            },
            "Endpoint": {"EndpointName": "provider-endpoint", "EndpointConfigName": f"provider-{version}"},
        }
        result: dict[str, Any] = SageMakerEndpointOperator(
            task_id="e", config=config, operation=operation, check_interval=1
        ).execute({})
        return result

    assert deploy("v1", "create")["Endpoint"]["EndpointStatus"] == "InService"
    assert deploy("v2", "create")["Endpoint"]["EndpointConfigName"] == "provider-v2"  # falls back to an update
    answer = sagemaker_local.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="provider-endpoint", ContentType="text/csv", Body=b"5"
    )
    assert float(answer["Body"].read()) == 3.0


def test_training_with_its_log(sagemaker_local: LocalSageMaker, caplog: pytest.LogCaptureFixture) -> None:
    config = training_config(sagemaker_local, "provider-training-log")
    config["AlgorithmSpecification"]["TrainingImage"] = OWN_IMAGE
    config["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "mean", "Regex": "mean: ([0-9.]+)"}]
    result = SageMakerTrainingOperator(task_id="t", config=config, print_log=True, check_interval=1).execute({})
    assert result["Training"]["FinalMetricDataList"][0]["Value"] == 2.0


@pytest.mark.parametrize("deferrable", [False, True])
def test_transform(sagemaker_local: LocalSageMaker, deferrable: bool) -> None:
    name = f"provider-transform-{'deferred' if deferrable else 'waited'}"
    put(sagemaker_local, f"provider/{name}/in/data.csv", "5")
    artefact = put(
        sagemaker_local,
        f"provider/{name}/model.tar.gz",
        tar({"mean.json": "2.0", "code/inference.py": INFERENCE}),
    )
    environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    config = {
        "Model": {
            "ModelName": name,
            "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": artefact, "Environment": environment},
            "ExecutionRoleArn": sagemaker_local.role_arn,
        },
        "Transform": {
            "TransformJobName": name,
            "ModelName": name,
            "TransformInput": {
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{sagemaker_local.bucket}/provider/{name}/in/",
                    }
                },
                "ContentType": "text/csv",
            },
            "TransformOutput": {"S3OutputPath": f"s3://{sagemaker_local.bucket}/provider/{name}/out"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        },
    }
    operator = SageMakerTransformOperator(
        task_id="t", config=config, check_interval=1, deferrable=deferrable, action_if_job_exists="fail"
    )
    context: Any = {"ti": MagicMock()}
    try:
        result = operator.execute(context)
    except TaskDeferred as deferred:
        [event] = asyncio.run(_events(deferred.trigger))
        result = operator.execute_complete(context, event.payload)
    assert result["Transform"]["TransformJobStatus"] == "Completed"
    assert result["Model"]["ModelName"] == name
    body = sagemaker_local.client("s3").get_object(
        Bucket=sagemaker_local.bucket, Key=f"provider/{name}/out/data.csv.out"
    )["Body"]
    assert float(body.read()) == 3.0


async def _events(trigger: Any) -> list[Any]:
    """What a trigger says."""
    return [event async for event in trigger.run()]
