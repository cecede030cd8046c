"""Network isolation: containers reach no network and have no credentials; what SageMaker brings and takes is there.

AWS's test of its XGBoost image: aws/deep-learning-containers, test/xgboost/e2e/test_network_isolation.py.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from sagemaker_retraining.requests import build_requests
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit
from tests.kits.job_kit import OUTPUT, Jobs, archive
from tests.kits.project import ENVIRONMENT, ExampleProject

REACH = """
import json, os, socket

def reaches(host, port):
    try:
        socket.create_connection((host, port), 3).close()
        return True
    except OSError:
        return False

listener = socket.create_server(("127.0.0.1", 0))
found = {{
    "server": reaches("127.0.0.1", {port}),
    "itself": reaches(*listener.getsockname()),
    "credentials": "AWS_ACCESS_KEY_ID" in os.environ,
    "code": sorted(os.listdir("/opt/ml/input/data/code")) if os.path.isdir("/opt/ml/input/data/code") else [],
}}
os.makedirs("{folder}", exist_ok=True)
with open("{folder}/reach.json", "w") as file:
    json.dump(found, file)
"""


@pytest.fixture
def jobs(sagemaker_local: LocalSageMaker) -> Jobs:
    return Jobs(sagemaker_local)


@pytest.fixture
def name() -> str:
    return f"isolated-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("isolated", [True, False])
def test_a_processing_job(jobs: Jobs, name: str, isolated: bool) -> None:
    script = REACH.format(port=jobs.server.port, folder=f"{OUTPUT}/out")
    job = jobs.process(name, script, NetworkConfig={"EnableNetworkIsolation": isolated})
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    found = json.loads(jobs.get(f"{name}/out/reach.json"))
    assert (found["server"], found["credentials"]) == (not isolated, not isolated)
    assert found["itself"], "its own loopback is no network"


@pytest.mark.aws_fact("image-network-isolation")
def test_training_as_the_package_asks_for_it(jobs: Jobs, name: str, tmp_path: Path) -> None:
    """The code comes as a channel; checkpoints and the model are SageMaker's to take."""
    project = ExampleProject(tmp_path)
    project.write_environment(f"{ENVIRONMENT}network_isolation: true\n")
    planned = build_requests(project.plan())["train"]
    script = (
        REACH.format(port=jobs.server.port, folder="/opt/ml/checkpoints") + "open('/opt/ml/model/m', 'w').write('m')"
    )
    code = jobs.put(f"{name}/code/sourcedir.tar.gz", archive({"train.py": script}))
    [channel] = [channel for channel in planned["InputDataConfig"] if channel["ChannelName"] == "code"]
    channel["DataSource"]["S3DataSource"]["S3Uri"] = code
    request = {
        "EnableNetworkIsolation": planned["EnableNetworkIsolation"],
        "HyperParameters": planned["HyperParameters"],
        "InputDataConfig": [channel],
        **jobs.spot(name),
    }
    job = jobs.train(name, "", **request)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    found = json.loads(jobs.get(f"{name}/checkpoints/reach.json"))
    assert found == {"server": False, "itself": True, "credentials": False, "code": ["sourcedir.tar.gz"]}
    assert jobs.keys(f"{name}/model/") == [f"{name}/output/model.tar.gz"]


def test_code_in_s3_is_out_of_its_reach(jobs: Jobs, name: str) -> None:
    job = jobs.train(name, "print('reached')", EnableNetworkIsolation=True)
    assert job["TrainingJobStatus"] == "Failed"
    assert not any("reached" in line for stream in jobs.log_streams("Training", name) for line in stream)


def test_a_model_serves_from_its_artefact_alone(sagemaker_local: LocalSageMaker, name: str) -> None:
    kit = Kit(sagemaker_local)
    config = kit.config(name, factor=3)
    model: dict[str, Any] = kit.sagemaker.describe_model(ModelName=config)

    def serve(endpoint: str, environment: dict[str, str]) -> dict[str, Any]:
        container = {**model["PrimaryContainer"], "Environment": environment}
        kit.sagemaker.delete_model(ModelName=config)
        kit.sagemaker.create_model(
            ModelName=config,
            ExecutionRoleArn=sagemaker_local.role_arn,
            PrimaryContainer=container,
            EnableNetworkIsolation=True,
        )
        found: dict[str, Any] = kit.create(endpoint, config)
        return found

    inside = model["PrimaryContainer"]["Environment"]
    assert serve(name, inside)["EndpointStatus"] == "InService"
    code = Jobs(sagemaker_local).put(f"{name}/sourcedir.tar.gz", archive({"inference.py": "def model_fn(d): return 1"}))
    failed = serve(f"{name}-s3", {**inside, "SAGEMAKER_SUBMIT_DIRECTORY": code})
    assert failed["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in failed["FailureReason"]
