"""Processors and transformers of the SageMaker SDK v3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits import sdk_kit
from tests.kits.job_kit import Jobs

pytestmark = sdk_kit.MARKS


SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


def output_to(jobs: Jobs, folder: str) -> Any:
    """All that a processor leaves goes to this folder of the bucket."""
    from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output

    location = ProcessingS3Output(
        s3_uri=f"s3://{jobs.server.bucket}/{folder}",
        local_path="/opt/ml/processing/output",
        s3_upload_mode="EndOfJob",
    )
    return ProcessingOutput(output_name="out", s3_output=location)


def test_processor(session: Any, jobs: Jobs) -> None:
    from sagemaker.core.processing import Processor
    from sagemaker.core.shapes import ProcessingInput, ProcessingS3Input

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
        outputs=[output_to(jobs, "sdk/processed")],
        arguments=["--period", "2013-11"],
    )
    job = processor.latest_job
    job.refresh()
    assert job.processing_job_status == "Completed"
    assert jobs.get("sdk/processed/report.txt") == b"--period 2013-11 red rows.csv"


def test_script_processor_uploads_its_script(session: Any, jobs: Jobs, source: Path) -> None:
    from sagemaker.core.processing import ScriptProcessor

    processor = ScriptProcessor(
        role=jobs.server.role_arn,
        image_uri=sdk_kit.SKLEARN,
        command=["python3"],
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        base_job_name="sdk-script",
    )
    processor.run(code=str(source / "process.py"), outputs=[output_to(jobs, "sdk/scripted")], arguments=["x"])
    assert jobs.get("sdk/scripted/report.txt") == b"x "


def test_framework_processor_brings_its_source_directory(session: Any, jobs: Jobs, source: Path) -> None:
    from sagemaker.core.processing import FrameworkProcessor

    processor = FrameworkProcessor(
        role=jobs.server.role_arn,
        image_uri=sdk_kit.SKLEARN,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        base_job_name="sdk-framework",
    )
    processor.run(
        code="process.py", source_dir=str(source), outputs=[output_to(jobs, "sdk/framework")], arguments=["y"]
    )
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
