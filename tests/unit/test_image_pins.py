"""One line chooses the image whose versions job scripts run on here; the models name the same one."""

from __future__ import annotations

import re

import pytest
import yaml

from sagemaker_retraining.cli.new import SKELETON
from sagemaker_retraining.config.images import RELEASES
from tests.conftest import REPOSITORY

CHOSEN = re.findall(
    r"^-c requirements-image-(.+)\.txt$", (REPOSITORY / "requirements-jobs.txt").read_text(), re.MULTILINE
)


def pins(version: str) -> dict[str, str]:
    """Package → version of an image."""
    text = (REPOSITORY / f"requirements-image-{version}.txt").read_text()
    return dict(re.findall(r"^([\w-]+)==([\w.]+)$", text, re.MULTILINE))


@pytest.mark.aws_fact("image-versions")
def test_the_jobs_environment_holds_what_the_chosen_image_holds() -> None:
    lock = dict(re.findall(r"^([\w-]+)==([\w.]+)", (REPOSITORY / "locks/jobs.txt").read_text(), re.MULTILINE))
    wanted = pins(CHOSEN[0])
    assert {"xgboost-cpu", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "matplotlib", "pip"} <= set(lock)
    assert {name: lock[name] for name in wanted if name in lock} == {
        name: version for name, version in wanted.items() if name in lock
    }


def test_models_name_the_chosen_image() -> None:
    [chosen] = CHOSEN
    files = [
        *REPOSITORY.glob("include/models/*/model.yaml"),
        *REPOSITORY.glob("tests/*/project/include/models/*/*.yaml"),
    ]
    texts = [file.read_text() for file in files] + [(SKELETON / "model.yaml.txt").read_text().replace("{name}", "x")]
    assert len(texts) >= 3
    assert {yaml.safe_load(text)["image"]["version"] for text in texts} == {chosen}


@pytest.mark.parametrize("image", RELEASES)
def test_every_known_version_has_its_pins(image: tuple[str, str]) -> None:
    """With the Python that lint takes it for."""
    text = (REPOSITORY / f"requirements-image-{image[1]}.txt").read_text()
    python = RELEASES[image].python
    assert f"its Python is {python[0]}.{python[1]}." in text
    assert re.search(r"^# Locked for Python 3\.\d+ and newer", text, re.MULTILINE), "for make lock"
    major, minor = image[1].split("-")[0].split(".")
    assert pins(image[1])["xgboost-cpu"].startswith(f"{major}.{minor}.")
