"""The SageMaker SDK as an oracle: what it would send is what we send.

It cannot be installed beside Airflow on Python 3.12; there these tests have nothing to compare with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from include.lock_images import LOCK_FILE, registries, resolve, wanted
from sagemaker_retraining.config import load_model
from sagemaker_retraining.config.source import read_yaml
from sagemaker_retraining.requests import build_requests, complete_package, metric_sources
from sagemaker_retraining.requests.registry import STATISTICS
from tests.kits.project import RESULTS, TRAINING, ExampleProject

if sys.version_info >= (3, 12):
    pytest.skip("the SageMaker SDK cannot be installed here (Python 3.12)", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK's own

ROLE = "arn:aws:iam::123456789012:role/jobs"
NO_TELEMETRY = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK has what it would otherwise look up, and no way to reach AWS."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")


@pytest.fixture
def requests(tmp_path: Path) -> dict[str, Any]:
    return build_requests(ExampleProject(tmp_path).plan("prod"))


def without_tags(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != "Tags"}


def test_processing(requests: dict[str, Any]) -> None:
    import boto3
    from sagemaker.core.network import NetworkConfig
    from sagemaker.core.processing import Processor
    from sagemaker.core.shapes import (
        ProcessingInput,
        ProcessingOutput,
        ProcessingS3Input,
        ProcessingS3Output,
    )
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.core.workflow.utilities import execute_job_functions

    ours = requests["evaluate"]
    key = ours["ProcessingOutputConfig"]["KmsKeyId"]
    vpc = ours["NetworkConfig"]["VpcConfig"]
    session = PipelineSession(
        boto_session=boto3.Session(region_name="eu-west-1"), default_bucket="demo-bucket", sagemaker_config=NO_TELEMETRY
    )
    processor = Processor(
        role=ROLE,
        image_uri=ours["AppSpecification"]["ImageUri"],
        entrypoint=["python3", "/opt/ml/processing/input/code/evaluate.py"],
        instance_count=1,
        instance_type="ml.m5.xlarge",
        volume_size_in_gb=30,
        volume_kms_key=key,
        output_kms_key=key,
        max_runtime_in_seconds=3600,
        env=ours["Environment"],
        network_config=NetworkConfig(
            subnets=vpc["Subnets"],
            security_group_ids=vpc["SecurityGroupIds"],
            encrypt_inter_container_traffic=True,
        ),
        sagemaker_session=session,
    )
    inputs = [
        ProcessingInput(
            input_name=item["InputName"],
            s3_input=ProcessingS3Input(
                s3_uri=item["S3Input"]["S3Uri"],
                local_path=item["S3Input"]["LocalPath"],
                s3_data_type="S3Prefix",
                s3_input_mode="File",
            ),
        )
        for item in ours["ProcessingInputs"]
    ]
    outputs = [
        ProcessingOutput(
            output_name=item["OutputName"],
            s3_output=ProcessingS3Output(
                s3_uri=item["S3Output"]["S3Uri"],
                local_path=item["S3Output"]["LocalPath"],
                s3_upload_mode="EndOfJob",
            ),
        )
        for item in ours["ProcessingOutputConfig"]["Outputs"]
    ]
    step = processor.run(
        inputs=inputs, outputs=outputs, arguments=["--period", "2013-11"], job_name=ours["ProcessingJobName"]
    )
    execute_job_functions(step)
    theirs = {**session.context.args, "ProcessingJobName": ours["ProcessingJobName"]}
    # Isolation from the network, which the SDK spells out even when it is off.
    assert theirs["NetworkConfig"].pop("EnableNetworkIsolation", False) is False
    assert without_tags(theirs) == without_tags(ours)


def test_training(tmp_path: Path) -> None:
    import boto3
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import (
        CheckpointConfig,
        Compute,
        InputData,
        OutputDataConfig,
        StoppingCondition,
    )
    from sagemaker.train import ModelTrainer

    ours = build_requests(ExampleProject(tmp_path).plan("test"))["train"]
    session = Session(
        boto_session=boto3.Session(region_name="eu-west-1"), default_bucket="demo-bucket", sagemaker_config=NO_TELEMETRY
    )
    trainer = ModelTrainer(
        training_image=ours["AlgorithmSpecification"]["TrainingImage"],
        role=ROLE,
        base_job_name="x",
        sagemaker_session=session,
        compute=Compute(
            instance_type="ml.m5.2xlarge", instance_count=1, volume_size_in_gb=30, enable_managed_spot_training=True
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=7200, max_wait_time_in_seconds=14400),
        checkpoint_config=CheckpointConfig(s3_uri=ours["CheckpointConfig"]["S3Uri"], local_path="/opt/ml/checkpoints"),
        output_data_config=OutputDataConfig(s3_output_path=ours["OutputDataConfig"]["S3OutputPath"]),
        hyperparameters=ours["HyperParameters"],
        input_data_config=[
            InputData(channel_name=channel["ChannelName"], data_source=channel["DataSource"]["S3DataSource"]["S3Uri"])
            for channel in ours["InputDataConfig"]
        ],
    )
    theirs = trainer._create_training_job_args(boto3=True)
    theirs["TrainingJobName"] = ours["TrainingJobName"]
    assert theirs["OutputDataConfig"].pop("CompressionType") == "GZIP"  # the API's default
    assert without_tags(theirs) == without_tags(ours)


@pytest.fixture
def version(requests: dict[str, Any]) -> dict[str, Any]:
    """The registration of a run whose jobs left every statistics and constraints file."""
    return complete_package(requests["register"]["package"], RESULTS, metric_sources(RESULTS))


def sources() -> dict[str, Any]:
    """The four files as the SDK's arguments name them."""
    from sagemaker.core.model_metrics import MetricsSource

    run = "s3://demo-bucket/demo_model/runs/2013-11/x/"
    files = {
        "model_statistics": f"{run}evaluation-g1/evaluation.json",
        "model_constraints": f"{run}evaluation-g1/constraints.json",
        "model_data_statistics": f"{run}preprocess/baseline/statistics.json",
        "model_data_constraints": f"{run}preprocess/baseline/constraints.json",
    }
    return {name: MetricsSource(content_type="application/json", s3_uri=uri) for name, uri in files.items()}


def test_model_metrics(version: dict[str, Any]) -> None:
    from sagemaker.core.model_metrics import ModelMetrics

    theirs = ModelMetrics(**sources())._to_request_dict()
    # Reports there are none of, which the SDK spells out.
    assert (theirs.pop("Bias"), theirs.pop("Explainability")) == ({}, {})
    assert theirs == version["ModelMetrics"]


def test_drift_check_baselines(version: dict[str, Any]) -> None:
    from sagemaker.core.drift_check_baselines import DriftCheckBaselines

    assert DriftCheckBaselines(**sources())._to_request_dict() == version["DriftCheckBaselines"]


def test_metrics_without_what_a_script_need_not_write(requests: dict[str, Any]) -> None:
    from sagemaker.core.drift_check_baselines import DriftCheckBaselines

    ours = complete_package(requests["register"]["package"], RESULTS, {STATISTICS: RESULTS.evaluation_uri})
    theirs = DriftCheckBaselines(model_statistics=sources()["model_statistics"])._to_request_dict()
    assert theirs == ours["DriftCheckBaselines"] == ours["ModelMetrics"]


def test_model_card(version: dict[str, Any]) -> None:
    """The SDK's model of the schema drops what it does not know and converts what is of another type."""
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    ours = json.loads(version["ModelCard"]["ModelCardContent"])
    assert ModelCardContent.model_validate(ours).model_dump(mode="json", exclude_none=True) == ours


def test_life_cycle_and_lineage(version: dict[str, Any]) -> None:
    from sagemaker.core.metadata_properties import MetadataProperties
    from sagemaker.core.model_life_cycle import ModelLifeCycle

    stage = ModelLifeCycle(stage="prod", stage_status="PendingApproval")
    lineage = MetadataProperties(
        commit_id="0123456789abcdef0123456789abcdef01234567", generated_by=TRAINING["arn"], project_id="demo"
    )
    assert stage._to_request_dict() == version["ModelLifeCycle"]
    assert lineage._to_request_dict() == version["MetadataProperties"]


def test_the_version_is_what_the_sdk_would_register(version: dict[str, Any]) -> None:
    """`get_create_model_package_request` is what the SDK's `ModelPackage` and `Model.register` send."""
    from sagemaker.core.model_registry import get_create_model_package_request

    ours = version
    theirs = get_create_model_package_request(
        model_package_group_name=ours["ModelPackageGroupName"],
        containers=ours["InferenceSpecification"]["Containers"],
        content_types=ours["InferenceSpecification"]["SupportedContentTypes"],
        response_types=ours["InferenceSpecification"]["SupportedResponseMIMETypes"],
        inference_instances=ours["InferenceSpecification"]["SupportedRealtimeInferenceInstanceTypes"],
        transform_instances=ours["InferenceSpecification"]["SupportedTransformInstanceTypes"],
        model_metrics=ours["ModelMetrics"],
        metadata_properties=ours["MetadataProperties"],
        approval_status="PendingManualApproval",
        description=ours["ModelPackageDescription"],
        drift_check_baselines=ours["DriftCheckBaselines"],
        customer_metadata_properties=ours["CustomerMetadataProperties"],
        model_card=ours["ModelCard"],
        model_life_cycle=ours["ModelLifeCycle"],
    )
    # The API's defaults.
    assert (theirs.pop("CertifyForMarketplace"), theirs.pop("SkipModelValidation")) == (False, "None")
    only_ours = {"ClientToken", "SecurityConfig"}  # the SDK has no parameter for them
    assert {key: value for key, value in ours.items() if key not in only_ours} == theirs


def test_data_capture(requests: dict[str, Any]) -> None:
    import boto3
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.model_monitor import DataCaptureConfig

    ours = requests["deploy"]["endpoint_config"]["DataCaptureConfig"]
    theirs = DataCaptureConfig(
        enable_capture=True,
        sampling_percentage=20,
        destination_s3_uri=ours["DestinationS3Uri"],
        kms_key_id=ours["KmsKeyId"],
        sagemaker_session=Session(
            boto_session=boto3.Session(region_name="eu-west-1"),
            default_bucket="demo-bucket",
            sagemaker_config=NO_TELEMETRY,
        ),
    )._to_request_dict()
    assert theirs == ours


def test_the_lock_file_is_what_the_sdk_resolves() -> None:
    lock = read_yaml(LOCK_FILE, "images.lock.yaml").data
    assert lock == resolve(wanted()), "run include/lock_images.py"


def test_every_region_is_locked() -> None:
    assert len(list(registries("xgboost", "3.0-5"))) > 20
    assert load_model("flight_delay", environment="local").image.uri is not None
