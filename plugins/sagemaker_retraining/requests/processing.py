"""CreateProcessingJob for the steps preprocess and evaluate.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from sagemaker_retraining.config.model import ProcessingStep
from sagemaker_retraining.plan import RunPlan
from sagemaker_retraining.requests.volumes import volume_key

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as sagemaker
    from mypy_boto3_sagemaker.literals import ProcessingInstanceTypeType, ProcessingS3DataTypeType

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
RAW_MANIFEST = "raw.manifest"
# What evaluate leaves in its outputs `evaluation` (the first two) and `report`.
EVALUATION, SAMPLE, REPORT = "evaluation.json", "sample.jsonl", "report.html"
ARTIFACT_GONE = "its model.tar.gz is gone"


def preprocess_request(plan: RunPlan) -> sagemaker.CreateProcessingJobRequestTypeDef:
    """Raw months (through a manifest) → train, validation, test, and the baseline.

    The manifest that data_ready writes is named after the data it lists; the operator puts its URI there.

    `baseline/` holds `statistics.json` and `constraints.json` of the training data in Model Monitor's format; a script
    that writes none has a model without a data-quality baseline.
    """
    step = plan.model.preprocess
    inputs = [
        _input("code", f"{plan.code_prefix}files/"),
        _input("raw", plan.run_uri(RAW_MANIFEST), data_type="ManifestFile"),
    ]
    outputs = {name: plan.run_uri(f"preprocess/{name}/") for name in ("train", "validation", "test", "baseline")}
    return _request(plan, "preprocess", step, step.script, inputs, outputs=outputs)


def evaluate_request(plan: RunPlan) -> sagemaker.CreateProcessingJobRequestTypeDef:
    """Test set, model and champion (if any) → evaluation.json, samples, report.

    The input `model` is what the training job's first generation writes; the operator puts the real artefact there.
    """
    step = plan.model.evaluate
    inputs = [
        _input("code", f"{plan.code_prefix}files/"),
        _input("test", plan.run_uri("preprocess/test/")),
        _input("model", plan.model_artifact),
    ]
    if plan.champion and plan.champion.artifact:
        inputs.append(_input("champion", plan.champion.artifact))
    outputs = {name: plan.run_uri(f"{name}/") for name in ("evaluation", "report")}
    gate = plan.model.quality_gate
    bootstrap = {
        "BOOTSTRAP_CONFIDENCE": format(gate.confidence, "g"),
        "BOOTSTRAP_SAMPLES": str(gate.samples),
        "BOOTSTRAP_SEED": str(gate.seed),
    }
    if plan.champion and not plan.champion.artifact:
        bootstrap["CHAMPION_ERROR"] = ARTIFACT_GONE
    return _request(plan, "evaluate", step, step.script, inputs, outputs=outputs, variables=bootstrap)


def _request(
    plan: RunPlan,
    name: str,
    step: ProcessingStep,
    script: str,
    inputs: list[sagemaker.ProcessingInputTypeDef],
    *,
    outputs: dict[str, str],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> sagemaker.CreateProcessingJobRequestTypeDef:
    environment = plan.environment
    cluster: sagemaker.ProcessingClusterConfigTypeDef = {
        "InstanceType": cast("ProcessingInstanceTypeType", step.instance_type),
        "InstanceCount": step.instance_count,
        "VolumeSizeInGB": step.volume_gb,
    }
    output_config: sagemaker.ProcessingOutputConfigTypeDef = {
        "Outputs": [_output(key, uri) for key, uri in outputs.items()]
    }
    if key := volume_key(plan, step.instance_type):
        cluster["VolumeKmsKeyId"] = key
    if environment.output_kms_key_arn:
        output_config["KmsKeyId"] = environment.output_kms_key_arn
    request: sagemaker.CreateProcessingJobRequestTypeDef = {
        "ProcessingJobName": plan.job_name(name),
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": output_config,
        "ProcessingResources": {"ClusterConfig": cluster},
        "StoppingCondition": {"MaxRuntimeInSeconds": step.max_runtime_seconds},
        "AppSpecification": {
            "ImageUri": str(plan.model.image.uri),
            "ContainerEntrypoint": _entrypoint(plan, script),
            "ContainerArguments": _arguments(plan, step),
        },
        "RoleArn": environment.role_arn,
        "Tags": plan.resource_tags,
    }
    if variables or step.environment:
        request["Environment"] = {**variables, **step.environment}
    if network := _network(plan):
        request["NetworkConfig"] = network
    return request


def _entrypoint(plan: RunPlan, script: str) -> list[str]:
    """The script, after its packages where the model has some: only script mode installs them by itself."""
    program = f"{INPUT}/code/{script}"
    if not plan.code.installs_packages:
        return ["python3", program]
    install = f"python3 -m pip install --quiet -r {INPUT}/code/requirements.txt"
    # ContainerArguments follow the entrypoint, so they are the shell's "$@"; the word before them is its $0.
    return ["/bin/bash", "-c", f'{install} && exec python3 {program} "$@"', script]


def _arguments(plan: RunPlan, step: ProcessingStep) -> list[str]:
    pairs = {"period": str(plan.period), **{key: _text(value) for key, value in step.arguments.items()}}
    return [part for key, value in pairs.items() for part in (f"--{key}", value)]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _network(plan: RunPlan) -> sagemaker.NetworkConfigTypeDef:
    network: sagemaker.NetworkConfigTypeDef = {}
    if plan.environment.encrypt_traffic:
        network["EnableInterContainerTrafficEncryption"] = True
    if plan.environment.network_isolation:
        network["EnableNetworkIsolation"] = True
    if vpc := vpc_config(plan):
        network["VpcConfig"] = vpc
    return network


def vpc_config(plan: RunPlan) -> sagemaker.VpcConfigTypeDef | None:
    """VpcConfig as all requests have it; None when the environment names no network."""
    vpc = plan.environment.vpc
    if vpc is None:
        return None
    return {"SecurityGroupIds": list(vpc.security_group_ids), "Subnets": list(vpc.subnets)}


def _input(name: str, uri: str, data_type: ProcessingS3DataTypeType = "S3Prefix") -> sagemaker.ProcessingInputTypeDef:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{INPUT}/{name}",
            "S3DataType": data_type,
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
            "S3CompressionType": "None",
        },
    }


def _output(name: str, uri: str) -> sagemaker.ProcessingOutputTypeDef:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": uri, "LocalPath": f"{OUTPUT}/{name}", "S3UploadMode": "EndOfJob"},
    }
