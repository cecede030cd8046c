"""Configuration: `model.yaml` and `environment.yaml` as checked, frozen objects, and where they lie."""

from sagemaker_retraining.config.environment import EnvironmentConfig
from sagemaker_retraining.config.load import (
    environment_name,
    environment_names,
    load_environment,
    load_model,
    model_folder,
    model_names,
    project_root,
)
from sagemaker_retraining.config.model import ModelConfig
from sagemaker_retraining.config.s3_overlap import s3_overlaps
from sagemaker_retraining.config.source import ConfigError

__all__ = [
    "ConfigError",
    "EnvironmentConfig",
    "ModelConfig",
    "environment_name",
    "environment_names",
    "load_environment",
    "load_model",
    "model_folder",
    "model_names",
    "project_root",
    "s3_overlaps",
]
