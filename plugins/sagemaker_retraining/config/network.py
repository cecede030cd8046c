"""Whether a model can live in the network its environment gives it, before anything is paid for."""

from __future__ import annotations

from pathlib import Path

from sagemaker_retraining.config.environment import EnvironmentConfig
from sagemaker_retraining.config.model import ModelConfig
from sagemaker_retraining.config.source import Source

REQUIREMENTS = "requirements.txt"
# Their toolkit runs `pip install .`, which fetches setuptools: AWS expects its own test of it to fail
# (aws/deep-learning-containers, test/xgboost/e2e/test_network_isolation.py).
_NEED_AN_INDEX = frozenset({("xgboost", "3.2-0")})


def names_packages(folder: Path) -> bool:
    """Whether the model's folder has a requirements.txt with more than comments in it."""
    file = folder / REQUIREMENTS
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def network_problems(config: ModelConfig, source: Source, environment: EnvironmentConfig, folder: Path) -> list[str]:
    """One message for each thing the environment's network forbids the model.

    A serverless endpoint takes neither a VPC nor network isolation
    (https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html, feature exclusions); an isolated
    container cannot install packages.
    """
    problems, name = [], environment.environment
    barriers = (("be in a VPC", "vpc"), ("be isolated from the network", "network_isolation"))
    for what, key in barriers if config.deploy.serverless else ():
        if getattr(environment, key):
            text = f"a serverless endpoint cannot {what}, and environment {name} has {key}; deploy on instances there"
            problems.append(source.problem(("deploy", "serverless"), text))
    image = config.image
    if environment.network_isolation and (image.framework, image.version) in _NEED_AN_INDEX:
        text = (
            f"{image.framework} {image.version} cannot run scripts without a network, and environment {name} has "
            "network_isolation; take 3.0-5, or an image of your own"
        )
        problems.append(source.problem(("image", "version"), text))
    if environment.network_isolation and names_packages(folder):
        problems.append(
            f"{source.folder}/{REQUIREMENTS}: names packages, which a container without a network cannot install, and "
            f"environment {name} has network_isolation; put them into an image of your own (`image: <uri>`)"
        )
    return problems
