"""Job scripts on the image's own Python, 3.10, with the packages of `locks/jobs.txt`; skipped where there is none.

The tests of the scripts run once more there; so does what the image does with the code before it runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.laptop.setup.environments import registry_settings
from sagemaker_retraining.plan import package_code
from tests.conftest import REPOSITORY
from tests.kits import flight_delay_kit as kit

pytestmark = [pytest.mark.slow, pytest.mark.aws_fact("image-versions"), pytest.mark.timeout(1800)]
UV = REPOSITORY / ".venv-uv/bin/uv"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a jobs environment with Python 3.10."""
    found = [*Path.home().glob(".pyenv/versions/3.10.*/bin/python"), Path("/usr/bin/python3.10")]
    base = next((path for path in found if path.exists()), None)
    if base is None:
        pytest.skip("no Python 3.10 on this machine")
    folder = tmp_path_factory.mktemp("python310") / "venv"
    environment = os.environ | registry_settings()
    subprocess.run([UV, "venv", "--quiet", "--python", base, folder], env=environment, check=True)
    sync = [UV, "pip", "sync", "--quiet", "--require-hashes", "--python", folder / "bin/python"]
    subprocess.run([*sync, REPOSITORY / "locks/jobs.txt"], env=environment, check=True)
    return folder / "bin/python"


def test_the_tests_of_job_scripts_on_it(python: Path) -> None:
    """Those of flight_delay, with training and serving in the local SageMaker, and of a new model."""
    new_model = "tests/unit/test_new_model.py::test_its_scripts_work"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "tests/models",
        new_model,
    ]
    environment = os.environ | {"JOBS_PYTHON": str(python)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]


def test_the_code_is_installed_without_a_package_index(python: Path, tmp_path: Path) -> None:
    """With the image's pip, setuptools and wheel: files as old as 1970 in the archive are no trouble for a wheel."""
    (tmp_path / "sourcedir.tar.gz").write_bytes(package_code(kit.FOLDER).archive())
    (tmp_path / "code").mkdir()
    subprocess.run(["tar", "-xzf", "sourcedir.tar.gz", "-C", "code"], cwd=tmp_path, check=True)
    program = "import sys, pathlib, train; print(train.SETUP.format(name='train'))"
    setup = subprocess.run(
        [python, "-c", program],
        cwd=REPOSITORY / "include/sagemaker_local/containers/programs",
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "code/setup.py").write_text(setup.stdout)
    nowhere = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    nowhere |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([python, "-m", "pip", "install", "--quiet", "."], cwd=tmp_path / "code", env=nowhere, check=True)
    used = subprocess.run([python, "-m", "train", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert used.returncode == 0, used.stderr
    assert "--num_round" in used.stdout
