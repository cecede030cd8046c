"""A project with an environment for production, and what `make package` makes of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.laptop.package import package
from tests.conftest import REPOSITORY

PROD = """\
environment: prod
region: eu-west-1
account: "111122223333"
bucket: my-bucket
role_arn: arn:aws:iam::111122223333:role/sagemaker-retraining-jobs
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's models and DAGs, with prod.yaml and with what must not go to production."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("dags", "include/models", "include/environments"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "include" / "images.lock.yaml", folder / "include")
    (folder / "include/environments/prod.yaml").write_text(PROD)
    for rubbish in ("dags/__pycache__/x.pyc", "include/models/flight_delay/tests/test_x.py", "dags/.DS_Store"):
        (folder / rubbish).parent.mkdir(exist_ok=True)
        (folder / rubbish).write_text("")
    return folder


@pytest.fixture(scope="session")
def at_home(project: Path) -> Iterator[pytest.MonkeyPatch]:
    """RETRAINING_HOME is the project; RETRAINING_ENV is not set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRAINING_HOME", str(project))
        patch.delenv("RETRAINING_ENV", raising=False)
        yield patch


@pytest.fixture(scope="session")
def dist(at_home: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dist/`, built once."""
    folder = tmp_path_factory.mktemp("built") / "dist"
    package("prod", folder)
    return folder
