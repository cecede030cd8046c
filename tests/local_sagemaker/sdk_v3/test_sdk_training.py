"""Training jobs of the SageMaker SDK v3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits import sdk_kit
from tests.kits.job_kit import Jobs, unpacked

pytestmark = sdk_kit.MARKS
SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


def test_training_from_a_local_folder_in_script_mode(trained: Any, jobs: Jobs) -> None:
    trained.refresh()
    assert trained.training_job_status == "Completed", trained.failure_reason
    assert trained.hyper_parameters["factor"] == "3"
    assert trained.enable_managed_spot_training is True
    assert trained.billable_time_in_seconds <= trained.training_time_in_seconds
    assert jobs.keys("sdk/checkpoints/") == ["last"]
    assert trained.model_artifacts.s3_model_artifacts.startswith(f"s3://{jobs.server.bucket}/sdk/model/")


def test_metrics_and_transitions(trained: Any) -> None:
    [metric] = trained.final_metric_data_list
    assert (metric.metric_name, metric.value) == ("auc", 0.75)
    statuses = [item.status for item in trained.secondary_status_transitions]
    assert statuses == ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]


def test_get_of_a_training_job_and_its_tags(trained: Any, session: Any) -> None:
    from sagemaker.core.resources import Tag, TrainingJob

    found = TrainingJob.get(training_job_name=trained.training_job_name)
    assert found.training_job_arn == trained.training_job_arn
    assert found.output_data_config.kms_key_id == ""
    tags = {tag.key: tag.value for tag in Tag.get_all(resource_arn=found.training_job_arn)}
    assert tags["team"] == "ml"


def test_attach_to_a_training_job(trained: Any, session: Any) -> None:
    from sagemaker.core.resources import TrainingJob

    found = TrainingJob.get(training_job_name=trained.training_job_name, session=session.boto_session)
    found.wait(poll=1, logs=True)
    assert found.training_job_status == "Completed"


def test_training_from_s3_with_a_command_and_no_metrics(session: Any, jobs: Jobs) -> None:
    from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, SourceCode
    from sagemaker.train import ModelTrainer

    url = jobs.put("sdk/s3-data/a.csv", "1").rpartition("/")[0]
    trainer = ModelTrainer(
        training_image=sdk_kit.SKLEARN,
        role=jobs.server.role_arn,
        sagemaker_session=session,
        base_job_name="sdk-command",
        source_code=SourceCode(command="ls -R /opt/ml/input/data > $SM_MODEL_DIR/listing.txt"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{jobs.server.bucket}/sdk/model"),
    )
    trainer.train(input_data_config=[InputData(channel_name="train", data_source=url)])
    job = trainer._latest_training_job
    job.refresh()
    assert job.training_job_status == "Completed"
    key = job.model_artifacts.s3_model_artifacts.split("/", 3)[3]
    assert "a.csv" in unpacked(jobs.get(key))["listing.txt"]


def test_a_training_job_that_fails_raises_its_reason(session: Any, jobs: Jobs, tmp_path: Path) -> None:
    from sagemaker.core.training.configs import Compute, OutputDataConfig, SourceCode
    from sagemaker.core.utils.exceptions import FailedStatusError
    from sagemaker.train import ModelTrainer

    (tmp_path / "train.py").write_text("raise SystemExit('no data today')")
    trainer = ModelTrainer(
        training_image=sdk_kit.SKLEARN,
        role=jobs.server.role_arn,
        sagemaker_session=session,
        base_job_name="sdk-fails",
        source_code=SourceCode(source_dir=str(tmp_path), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{jobs.server.bucket}/sdk/model"),
    )
    with pytest.raises(FailedStatusError, match="exit code: 1"):
        trainer.train(logs=False)


def test_a_training_job_is_stopped_and_waited_for(jobs: Jobs) -> None:
    from sagemaker.core.resources import TrainingJob

    jobs.start_training("sdk-stop", "", **jobs.plain_container("sdk-stop", SLEEP))
    jobs.wait_for_line("Training", "sdk-stop", "ready")
    job = TrainingJob.get(training_job_name="sdk-stop")
    job.stop()
    job.wait(poll=1)
    assert job.training_job_status == "Stopped"
    job.delete()
    with pytest.raises(ClientError, match="Requested resource not found"):
        TrainingJob.get(training_job_name="sdk-stop")


def test_training_jobs_are_listed_newest_first_and_filtered(trained: Any, jobs: Jobs) -> None:
    from sagemaker.core.resources import TrainingJob

    names = [f"sdk-listed-{number}" for number in range(3)]
    for name in names:
        jobs.train(name, "", **jobs.plain_container(name, ""))
    found = list(TrainingJob.get_all(name_contains="sdk-listed", sort_by="CreationTime", sort_order="Descending"))
    assert [job.training_job_name for job in found] == names[::-1]
    completed = TrainingJob.get_all(name_contains="sdk-train", status_equals="Completed")
    assert trained.training_job_name in [job.training_job_name for job in completed]


def test_names_taken_are_refused(jobs: Jobs, trained: Any) -> None:
    request = jobs.training_request(trained.training_job_name, "")
    with pytest.raises(ClientError, match="Training job names must be unique"):
        jobs.sagemaker.create_training_job(**request)
