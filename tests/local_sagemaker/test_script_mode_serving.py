"""The SDK's quickstart, `fit()` then `deploy()` or `transformer()`, as the requests it sends: one script trains and
serves, and its archive stays in S3, where the serving container fetches it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import Kit
from tests.kits.job_kit import IMAGE, Jobs
from tests.kits.transform_kit import Transforms

SKLEARN_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
SKLEARN = """
import os, joblib
from sklearn.linear_model import LinearRegression

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

if __name__ == "__main__":
    model = LinearRegression().fit([[0, 0], [1, 0], [0, 1]], [0, 2, 3])
    joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))
"""
XGBOOST = """
import os, numpy, xgboost

def model_fn(model_dir):
    booster = xgboost.Booster()
    booster.load_model(os.path.join(model_dir, "model.json"))
    return booster

if __name__ == "__main__":
    data = xgboost.DMatrix(numpy.array([[0.0, 0.0], [1.0, 0.0]] * 20), numpy.array([0.0, 1.0] * 20))
    xgboost.train({"eta": 1, "lambda": 0, "base_score": 0}, data, 1).save_model(
        os.path.join(os.environ["SM_MODEL_DIR"], "model.json")
    )
"""


def fitted(server: LocalSageMaker, name: str, script: str, image: str = IMAGE) -> str:
    """A model, made as `Estimator.create_model` makes it after `fit`."""
    jobs = Jobs(server)
    job = jobs.train(name, script)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    container = {
        "Image": image,
        "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"],
        "Environment": {
            "SAGEMAKER_PROGRAM": "train.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": job["HyperParameters"]["sagemaker_submit_directory"],
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
            "SAGEMAKER_REGION": "us-east-1",
        },
    }
    jobs.sagemaker.create_model(ModelName=name, ExecutionRoleArn=server.role_arn, PrimaryContainer=container)
    return name


def deployed(server: LocalSageMaker, model: str) -> Kit:
    """Its endpoint, of the same name."""
    kit = Kit(server)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    kit.sagemaker.create_endpoint_config(EndpointConfigName=model, ProductionVariants=[variant])
    found = kit.create(model, model)
    assert found["EndpointStatus"] == "InService", found.get("FailureReason")
    return kit


def test_fit_then_deploy_and_transform(sagemaker_local: LocalSageMaker) -> None:
    model = fitted(sagemaker_local, "quickstart-sklearn", SKLEARN, SKLEARN_IMAGE)
    kit = deployed(sagemaker_local, model)
    answer = [float(value) for value in kit.invoke(model, "1,1\n2,0").split()]
    assert answer == pytest.approx([5, 4])
    jobs = Transforms(sagemaker_local)
    job = jobs.transform(model, {"rows.csv": "1,1\n0,1\n"}, ModelName=model, SplitType="Line", AssembleWith="Line")
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    lines = jobs.outputs(model)["rows.csv.out"].split()
    assert [float(line) for line in lines] == pytest.approx([5, 3])


def test_a_booster_gets_a_dmatrix(sagemaker_local: LocalSageMaker) -> None:
    model = fitted(sagemaker_local, "quickstart-xgboost", XGBOOST)
    assert float(deployed(sagemaker_local, model).invoke(model, "1,0")) == pytest.approx(1)


def test_code_that_is_not_there_fails_the_health_check(sagemaker_local: LocalSageMaker) -> None:
    kit = Kit(sagemaker_local)
    config = kit.config("ep-no-code", factor=1)
    model: dict[str, Any] = kit.sagemaker.describe_model(ModelName=config)["PrimaryContainer"]
    missing = f"s3://{sagemaker_local.bucket}/no/sourcedir.tar.gz"
    kit.sagemaker.delete_model(ModelName=config)
    kit.sagemaker.create_model(
        ModelName=config,
        ExecutionRoleArn=sagemaker_local.role_arn,
        PrimaryContainer={**model, "Environment": {**model["Environment"], "SAGEMAKER_SUBMIT_DIRECTORY": missing}},
    )
    found = kit.create("ep-no-code", config)
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
