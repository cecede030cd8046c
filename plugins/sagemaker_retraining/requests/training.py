"""CreateTrainingJob in script mode.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sagemaker_retraining.plan import RunPlan, fingerprint
from sagemaker_retraining.requests.processing import vpc_config
from sagemaker_retraining.requests.volumes import volume_key

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as sagemaker
    from mypy_boto3_sagemaker.literals import TrainingInstanceTypeType

CHECKPOINTS = "/opt/ml/checkpoints"
CHECKPOINT_DIGITS = 12
CODE_CHANNEL, ARCHIVE = "code", "sourcedir.tar.gz"


def train_request(plan: RunPlan) -> sagemaker.CreateTrainingJobRequestTypeDef:
    """Channels train and validation → model.tar.gz, on Spot unless the model says otherwise.

    Spot needs EnableManagedSpotTraining and MaxWaitTimeInSeconds together; SageMaker refuses one without the other.
    """
    step, environment = plan.model.train, plan.environment
    resources: sagemaker.ResourceConfigTypeDef = {
        "InstanceType": cast("TrainingInstanceTypeType", step.instance_type),
        "InstanceCount": step.instance_count,
        "VolumeSizeInGB": step.volume_gb,
    }
    output: sagemaker.OutputDataConfigTypeDef = {"S3OutputPath": plan.run_uri("model")}
    if key := volume_key(plan, step.instance_type):
        resources["VolumeKmsKeyId"] = key
    if environment.output_kms_key_arn:
        output["KmsKeyId"] = environment.output_kms_key_arn
    stopping: sagemaker.StoppingConditionTypeDef = {"MaxRuntimeInSeconds": step.max_runtime_seconds}
    request: sagemaker.CreateTrainingJobRequestTypeDef = {
        "TrainingJobName": plan.job_name("train"),
        "HyperParameters": _hyperparameters(plan),
        "AlgorithmSpecification": _algorithm(plan),
        "RoleArn": environment.role_arn,
        "InputDataConfig": _channels(plan),
        "OutputDataConfig": output,
        "ResourceConfig": resources,
        "StoppingCondition": stopping,
        "CheckpointConfig": {"S3Uri": plan.checkpoints_uri, "LocalPath": CHECKPOINTS},
        "Tags": plan.resource_tags,
    }
    if step.max_wait_seconds is not None:
        request["EnableManagedSpotTraining"] = True
        stopping["MaxWaitTimeInSeconds"] = step.max_wait_seconds
    if step.environment:
        request["Environment"] = dict(step.environment)
    if environment.encrypt_traffic:
        request["EnableInterContainerTrafficEncryption"] = True
    if environment.network_isolation:
        request["EnableNetworkIsolation"] = True
    if vpc := vpc_config(plan):
        request["VpcConfig"] = vpc
    return request


def with_own_checkpoints(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with its checkpoints in a folder named after what is trained: image, code, hyperparameters, data.

    A job that is started again, and the next generation of the same request, find what the one before left; a training
    that was corrected meanwhile does not go on from the model of the mistake. Code and data stand for their content:
    their locations in S3 are never written twice. On what and how many instances, and on Spot or not, is no difference.
    """
    attempt = copy.deepcopy(dict(request))
    if "CheckpointConfig" in attempt:
        trained = {key: attempt.get(key) for key in ("HyperParameters", "InputDataConfig", "Environment")}
        algorithm = attempt.get("AlgorithmSpecification", {})
        trained["Algorithm"] = {key: value for key, value in algorithm.items() if key != "MetricDefinitions"}
        attempt["CheckpointConfig"]["S3Uri"] += f"{fingerprint(trained)[:CHECKPOINT_DIGITS]}/"
    return attempt


def _hyperparameters(plan: RunPlan) -> dict[str, str]:
    """The model's and script mode's own; the training toolkit reads every value as JSON."""
    step = plan.model.train
    values = {
        **step.hyperparameters,
        "sagemaker_program": step.script,
        "sagemaker_submit_directory": _submit_directory(plan),
        "sagemaker_region": plan.environment.region,
        "sagemaker_container_log_level": logging.INFO,
    }
    return {key: json.dumps(value) for key, value in values.items()}


def _algorithm(plan: RunPlan) -> sagemaker.AlgorithmSpecificationTypeDef:
    algorithm: sagemaker.AlgorithmSpecificationTypeDef = {
        "TrainingImage": str(plan.model.image.uri),
        "TrainingInputMode": "File",
    }
    if plan.model.train.metrics:
        algorithm["MetricDefinitions"] = [
            {"Name": metric.name, "Regex": metric.regex} for metric in plan.model.train.metrics
        ]
    return algorithm


def _submit_directory(plan: RunPlan) -> str:
    """Where script mode finds the code: it fetches it from S3 itself, unless the container has no network.

    As the SageMaker SDK does; AWS tests its XGBoost image so (aws/deep-learning-containers, test_network_isolation.py).
    """
    if plan.environment.network_isolation:
        return f"/opt/ml/input/data/{CODE_CHANNEL}/{ARCHIVE}"
    return f"{plan.code_prefix}{ARCHIVE}"


def _channels(plan: RunPlan) -> list[sagemaker.ChannelTypeDef]:
    uris = {name: plan.run_uri(f"preprocess/{name}/") for name in ("train", "validation")}
    if plan.environment.network_isolation:
        uris[CODE_CHANNEL] = f"{plan.code_prefix}{ARCHIVE}"
    return [_channel(name, uri) for name, uri in uris.items()]


def _channel(name: str, uri: str) -> sagemaker.ChannelTypeDef:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "InputMode": "File",
    }
