"""What the tests of the SageMaker SDK v3 share: a session of the local SageMaker, what was trained, a model of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LocalSageMaker
from tests.kits import sdk_kit
from tests.kits.job_kit import Jobs, archive


@pytest.fixture(scope="package", autouse=True)
def reaching_the_server(sagemaker_local: LocalSageMaker) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sdk_kit.environment(sagemaker_local).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="package")
def session(sagemaker_local: LocalSageMaker, reaching_the_server: None) -> Any:
    return sdk_kit.session(sagemaker_local)


@pytest.fixture(scope="package")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sdk_kit.source(tmp_path_factory.mktemp("sdk"))


@pytest.fixture(scope="package")
def trainer(session: Any, source: Path, jobs: Jobs) -> Any:
    """A ModelTrainer that has trained, with all that a user may give one."""
    from sagemaker.core.shapes import MetricDefinition, Tag
    from sagemaker.core.training.configs import (
        CheckpointConfig,
        Compute,
        InputData,
        OutputDataConfig,
        SourceCode,
        StoppingCondition,
    )
    from sagemaker.train import ModelTrainer

    trainer = ModelTrainer(
        training_image=sdk_kit.SKLEARN,
        role=jobs.server.role_arn,
        sagemaker_session=session,
        base_job_name="sdk-train",
        source_code=SourceCode(source_dir=str(source), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1, enable_managed_spot_training=True),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=300, max_wait_time_in_seconds=600),
        checkpoint_config=CheckpointConfig(s3_uri=f"s3://{jobs.server.bucket}/sdk/checkpoints"),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{jobs.server.bucket}/sdk/model"),
        hyperparameters={"factor": 3},
        environment={"COLOUR": "blue"},
        tags=[Tag(key="team", value="ml")],
    ).with_metric_definitions([MetricDefinition(name="auc", regex=r"auc:(\S+)")])
    trainer.train(input_data_config=[InputData(channel_name="train", data_source=str(source.parent / "data"))])
    return trainer


@pytest.fixture(scope="package")
def trained(trainer: Any) -> Any:
    """Its job."""
    return trainer._latest_training_job


@pytest.fixture(scope="package")
def model(trained: Any, source: Path, jobs: Jobs) -> str:
    """A model that serves what was trained."""
    from sagemaker.core.resources import Model
    from sagemaker.core.shapes import ContainerDefinition

    code = jobs.put("sdk/serving/sourcedir.tar.gz", archive({"inference.py": sdk_kit.INFERENCE}))
    container = ContainerDefinition(
        image=sdk_kit.SKLEARN,
        model_data_url=trained.model_artifacts.s3_model_artifacts,
        environment={"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": code},
    )
    created = Model.create(model_name="sdk-model", primary_container=container, execution_role_arn=jobs.server.role_arn)
    return str(created.model_name)
