"""What users of the SageMaker SDK v3 do, against the local SageMaker.

It cannot be installed beside Airflow on Python 3.12; there these tests have nothing to run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalSageMaker
from tests.kits import sdk_kit
from tests.kits.job_kit import Jobs, archive, eventually, unpacked

if sys.version_info >= (3, 12):
    pytest.skip("the SageMaker SDK cannot be installed here (Python 3.12)", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


@pytest.fixture(scope="module", autouse=True)
def reaching_the_server(sagemaker_local: LocalSageMaker) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sdk_kit.environment(sagemaker_local).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def session(sagemaker_local: LocalSageMaker, reaching_the_server: None) -> Any:
    return sdk_kit.session(sagemaker_local)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sdk_kit.source(tmp_path_factory.mktemp("sdk"))


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def trained(trainer: Any) -> Any:
    """Its job."""
    return trainer._latest_training_job


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def endpoint(model: str) -> Any:
    """Its endpoint."""
    from sagemaker.core.resources import Endpoint, EndpointConfig
    from sagemaker.core.shapes import ProductionVariant

    variant = ProductionVariant(
        variant_name="AllTraffic", model_name=model, initial_instance_count=1, instance_type="ml.m5.large"
    )
    EndpointConfig.create(endpoint_config_name="sdk-config", production_variants=[variant])
    found = Endpoint.create(endpoint_name="sdk-endpoint", endpoint_config_name="sdk-config")
    found.wait_for_status("InService", poll=1)
    return found


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


def test_processor(session: Any, jobs: Jobs) -> None:
    from sagemaker.core.processing import Processor
    from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output

    code = jobs.put("sdk/processor/process.py", sdk_kit.PROCESS)
    data = jobs.put("sdk/processor-data/rows.csv", "1")
    given = {"s3_data_type": "S3Prefix", "s3_input_mode": "File"}
    processor = Processor(
        role=jobs.server.role_arn,
        image_uri=sdk_kit.SKLEARN,
        entrypoint=["python3", "/opt/ml/processing/input/code/process.py"],
        instance_count=1,
        instance_type="ml.m5.large",
        env={"COLOUR": "red"},
        sagemaker_session=session,
        base_job_name="sdk-processor",
    )
    processor.run(
        inputs=[
            ProcessingInput(
                input_name=name,
                s3_input=ProcessingS3Input(s3_uri=url, local_path=f"/opt/ml/processing/input/{name}", **given),
            )
            for name, url in (("code", code), ("data", data))
        ],
        outputs=[
            ProcessingOutput(
                output_name="out",
                s3_output=ProcessingS3Output(
                    s3_uri=f"s3://{jobs.server.bucket}/sdk/processed",
                    local_path="/opt/ml/processing/output",
                    s3_upload_mode="EndOfJob",
                ),
            )
        ],
        arguments=["--period", "2013-11"],
    )
    job = processor.latest_job
    job.refresh()
    assert job.processing_job_status == "Completed"
    assert jobs.get("sdk/processed/report.txt") == b"--period 2013-11 red rows.csv"


def test_script_processor_uploads_its_script(session: Any, jobs: Jobs, source: Path) -> None:
    from sagemaker.core.processing import ScriptProcessor
    from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output

    processor = ScriptProcessor(
        role=jobs.server.role_arn,
        image_uri=sdk_kit.SKLEARN,
        command=["python3"],
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        base_job_name="sdk-script",
    )
    output = ProcessingOutput(
        output_name="out",
        s3_output=ProcessingS3Output(
            s3_uri=f"s3://{jobs.server.bucket}/sdk/scripted",
            local_path="/opt/ml/processing/output",
            s3_upload_mode="EndOfJob",
        ),
    )
    processor.run(code=str(source / "process.py"), outputs=[output], arguments=["x"])
    assert jobs.get("sdk/scripted/report.txt") == b"x "


def test_framework_processor_brings_its_source_directory(session: Any, jobs: Jobs, source: Path) -> None:
    from sagemaker.core.processing import FrameworkProcessor
    from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output

    processor = FrameworkProcessor(
        role=jobs.server.role_arn,
        image_uri=sdk_kit.SKLEARN,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        base_job_name="sdk-framework",
    )
    output = ProcessingOutput(
        output_name="out",
        s3_output=ProcessingS3Output(
            s3_uri=f"s3://{jobs.server.bucket}/sdk/framework",
            local_path="/opt/ml/processing/output",
            s3_upload_mode="EndOfJob",
        ),
    )
    processor.run(code="process.py", source_dir=str(source), outputs=[output], arguments=["y"])
    assert jobs.get("sdk/framework/report.txt").startswith(b"y ")


def test_a_processing_job_is_found_stopped_and_listed(jobs: Jobs) -> None:
    from sagemaker.core.resources import ProcessingJob

    jobs.start_processing("sdk-process-stop", SLEEP)
    jobs.wait_for_line("Processing", "sdk-process-stop", "ready")
    job = ProcessingJob.get(processing_job_name="sdk-process-stop")
    job.stop()
    job.wait(poll=1)
    assert job.processing_job_status == "Stopped"
    listed = [found.processing_job_name for found in ProcessingJob.get_all(name_contains="sdk-process-")]
    assert listed == ["sdk-process-stop"]


def test_transformer(session: Any, jobs: Jobs, model: str) -> None:
    from sagemaker.core.transformer import Transformer

    data = jobs.put("sdk/batch/rows.csv", "1\n2\n")
    transformer = Transformer(
        model_name=model,
        instance_count=1,
        instance_type="ml.m5.large",
        assemble_with="Line",
        accept="text/csv",
        output_path=f"s3://{jobs.server.bucket}/sdk/batch-out",
        sagemaker_session=session,
        base_transform_job_name="sdk-transform",
    )
    transformer.transform(data=data, content_type="text/csv", split_type="Line", wait=True, logs=True)
    assert jobs.get("sdk/batch-out/rows.csv.out") == b"3.0\n6.0\n"
    attached = Transformer.attach(transformer.latest_transform_job.transform_job_name, sagemaker_session=session)
    assert attached.output_path == f"s3://{jobs.server.bucket}/sdk/batch-out"


def test_transform_jobs_are_listed_and_stopped(jobs: Jobs, model: str) -> None:
    from sagemaker.core.resources import TransformJob
    from sagemaker.core.shapes import (
        TransformDataSource,
        TransformInput,
        TransformOutput,
        TransformResources,
        TransformS3DataSource,
    )

    url = jobs.put("sdk/stopped-batch/rows.csv", "1")
    source = TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=url)
    job = TransformJob.create(
        transform_job_name="sdk-transform-job",
        model_name=model,
        transform_input=TransformInput(data_source=TransformDataSource(s3_data_source=source), content_type="text/csv"),
        transform_output=TransformOutput(s3_output_path=f"s3://{jobs.server.bucket}/sdk/stopped-out"),
        transform_resources=TransformResources(instance_type="ml.m5.large", instance_count=1),
    )
    job.wait(poll=1, logs=True)
    assert job.transform_job_status == "Completed"
    assert [found.transform_job_name for found in TransformJob.get_all(name_contains="sdk-transform-job")] == [
        "sdk-transform-job"
    ]
    with pytest.raises(ClientError, match="the transform job is in status Completed"):
        job.stop()


def test_an_endpoint_answers(endpoint: Any) -> None:
    answer = endpoint.invoke(body="1 2", content_type="text/csv", accept="text/csv")
    assert answer.body.read() == b"3.0\n6.0"
    assert answer.invoked_production_variant == "AllTraffic"


def test_an_endpoint_is_found_listed_and_reweighed(endpoint: Any) -> None:
    from sagemaker.core.resources import Endpoint, EndpointConfig
    from sagemaker.core.shapes import DesiredWeightAndCapacity

    assert [found.endpoint_name for found in Endpoint.get_all(name_contains="sdk-")] == ["sdk-endpoint"]
    assert Endpoint.get(endpoint_name="sdk-endpoint").endpoint_config_name == "sdk-config"
    assert EndpointConfig.get(endpoint_config_name="sdk-config").production_variants[0].model_name == "sdk-model"
    endpoint.update_weights_and_capacities(
        desired_weights_and_capacities=[DesiredWeightAndCapacity(variant_name="AllTraffic", desired_weight=2.0)]
    )
    endpoint.wait_for_status("InService", poll=1)


def test_model_builder_deploys_what_was_trained(trained: Any, session: Any, source: Path, jobs: Jobs) -> None:
    from sagemaker.core.training.configs import SourceCode
    from sagemaker.serve.model_builder import ModelBuilder

    builder = ModelBuilder(
        s3_model_data_url=trained.model_artifacts.s3_model_artifacts,
        role_arn=jobs.server.role_arn,
        sagemaker_session=session,
        image_uri=sdk_kit.SKLEARN,
        instance_type="ml.m5.large",
        source_code=SourceCode(source_dir=str(source), entry_script="inference.py"),
    )
    builder.build(model_name="sdk-built")
    deployed = builder.deploy(endpoint_name="sdk-built", wait=True)
    answer = deployed.invoke(body="2", content_type="text/csv", accept="text/csv")
    assert answer.body.read() == b"6.0"
    deployed.delete()
    deployed.wait_for_delete(poll=1)


def test_model_packages(trained: Any, jobs: Jobs) -> None:
    from sagemaker.core.resources import ModelPackage, ModelPackageGroup

    group = ModelPackageGroup.create(model_package_group_name="sdk-group")
    container = {"Image": sdk_kit.SKLEARN, "ModelDataUrl": trained.model_artifacts.s3_model_artifacts}
    created = jobs.sagemaker.create_model_package(  # ModelPackage.create of 3.27 asks the answer for another member
        ModelPackageGroupName="sdk-group",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    package = ModelPackage.get(model_package_name=created["ModelPackageArn"])
    assert package.model_approval_status == "PendingManualApproval"
    package.update(model_approval_status="Approved", approval_description="good")
    found = ModelPackage.get(model_package_name=package.model_package_arn)
    assert (found.model_approval_status, found.model_package_version) == ("Approved", 1)
    listed = list(ModelPackage.get_all(model_package_group_name="sdk-group"))
    assert [item.model_package_arn for item in listed] == [package.model_package_arn]
    jobs.sagemaker.delete_model_package(
        ModelPackageName=package.model_package_arn
    )  # versions have no name to delete by
    group.delete()
    assert list(ModelPackageGroup.get_all(name_contains="sdk-group")) == []


def test_model_builder_registers_a_version(trained: Any, session: Any, source: Path, jobs: Jobs) -> None:
    from sagemaker.core.resources import ModelPackageGroup
    from sagemaker.core.training.configs import SourceCode
    from sagemaker.serve.model_builder import ModelBuilder

    ModelPackageGroup.create(model_package_group_name="sdk-registered")
    builder = ModelBuilder(
        s3_model_data_url=trained.model_artifacts.s3_model_artifacts,
        role_arn=jobs.server.role_arn,
        sagemaker_session=session,
        image_uri=sdk_kit.SKLEARN,
        instance_type="ml.m5.large",
        source_code=SourceCode(source_dir=str(source), entry_script="inference.py"),
    )
    builder.build(model_name="sdk-to-register")
    package = builder.register(
        model_package_group_name="sdk-registered",
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=["ml.m5.large"],
        transform_instances=["ml.m5.large"],
        approval_status="Approved",
    )
    [found] = jobs.sagemaker.list_model_packages(ModelPackageGroupName="sdk-registered")["ModelPackageSummaryList"]
    assert found["ModelApprovalStatus"] == "Approved"
    assert str(package).endswith("/1") or package.model_package_arn.endswith("/1")


def test_tags(trained: Any) -> None:
    from sagemaker.core import shapes
    from sagemaker.core.resources import Tag

    Tag.add_tags(resource_arn=trained.training_job_arn, tags=[shapes.Tag(key="reviewed", value="yes")])
    assert "reviewed" in [tag.key for tag in Tag.get_all(resource_arn=trained.training_job_arn)]
    Tag.delete_tags(resource_arn=trained.training_job_arn, tag_keys=["reviewed"])
    assert "reviewed" not in [tag.key for tag in Tag.get_all(resource_arn=trained.training_job_arn)]


def test_models_are_listed_and_deleted(model: str, jobs: Jobs) -> None:
    from sagemaker.core.resources import Model

    assert "sdk-model" in [found.model_name for found in Model.get_all(name_contains="sdk-model")]
    found = Model.get(model_name=model)
    assert found.primary_container.image == sdk_kit.SKLEARN


def test_files_go_up_and_come_down(session: Any, source: Path, tmp_path: Path, jobs: Jobs) -> None:
    from sagemaker.core.s3 import S3Downloader, S3Uploader

    url = session.upload_data(str(source), bucket=jobs.server.bucket, key_prefix="sdk/uploaded")
    assert url == f"s3://{jobs.server.bucket}/sdk/uploaded"
    assert sorted(jobs.keys("sdk/uploaded/")) == ["inference.py", "process.py", "train.py"]
    assert S3Uploader.upload_string_as_file_body("x", f"{url}/note.txt", sagemaker_session=session)
    assert S3Downloader.read_file(f"{url}/note.txt", sagemaker_session=session) == "x"
    S3Downloader.download(url, str(tmp_path), sagemaker_session=session)
    assert (tmp_path / "train.py").read_text() == sdk_kit.TRAIN
    assert len(S3Downloader.list(url, sagemaker_session=session)) == 4


def test_a_serverless_endpoint(trained: Any, session: Any, source: Path, jobs: Jobs) -> None:
    from sagemaker.core.inference_config import ServerlessInferenceConfig
    from sagemaker.core.training.configs import SourceCode
    from sagemaker.serve.model_builder import ModelBuilder

    builder = ModelBuilder(
        s3_model_data_url=trained.model_artifacts.s3_model_artifacts,
        role_arn=jobs.server.role_arn,
        sagemaker_session=session,
        image_uri=sdk_kit.SKLEARN,
        source_code=SourceCode(source_dir=str(source), entry_script="inference.py"),
    )
    builder.build(model_name="sdk-serverless")
    config = ServerlessInferenceConfig(memory_size_in_mb=2048, max_concurrency=2)
    found = builder.deploy(endpoint_name="sdk-serverless", inference_config=config)
    assert found.invoke(body="1", content_type="text/csv", accept="text/csv").body.read() == b"3.0"
    found.delete()


def test_an_asynchronous_endpoint(model: str, jobs: Jobs) -> None:
    from sagemaker.core.resources import Endpoint, EndpointConfig
    from sagemaker.core.shapes import AsyncInferenceConfig, AsyncInferenceOutputConfig, ProductionVariant

    output = AsyncInferenceOutputConfig(s3_output_path=f"s3://{jobs.server.bucket}/sdk/async-out")
    variant = ProductionVariant(
        variant_name="AllTraffic", model_name=model, initial_instance_count=1, instance_type="ml.m5.large"
    )
    EndpointConfig.create(
        endpoint_config_name="sdk-async",
        production_variants=[variant],
        async_inference_config=AsyncInferenceConfig(output_config=output),
    )
    found = Endpoint.create(endpoint_name="sdk-async", endpoint_config_name="sdk-async")
    found.wait_for_status("InService", poll=1)
    data = jobs.put("sdk/async-in/row.csv", "2")
    answer = found.invoke_async(input_location=data, content_type="text/csv", accept="text/csv")
    key = answer.output_location.split("/", 3)[3]
    eventually(lambda: jobs.keys(key) == [""], "the answer in S3")
    assert jobs.get(key) == b"6.0"
    found.delete()
