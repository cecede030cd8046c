"""Resolve the image of every `model.yaml` with the SageMaker SDK into `images.lock.yaml`, for all regions.

Run it after changing an image: `python include/lock_images.py` where the SDK is installed (Python 3.11).
DAGs and workers read the lock file only: importing the SDK takes seconds and it cannot live beside Airflow everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent
LOCK_FILE = ROOT / "images.lock.yaml"
HEADER = "# Image URIs by framework, version and region. Written by include/lock_images.py; do not edit.\n"
# Images differ between CPU and GPU: the pipeline's jobs and endpoints run on CPUs.
INSTANCE_TYPE = "ml.m5.xlarge"
# Versions that no model has yet and that one can change to: docs/configuration.md, Image.
SUPPORTED = [("xgboost", "3.2-0")]


def wanted(root: Path = ROOT) -> list[tuple[str, str]]:
    """(framework, version) of every model that names one, and of those to change to, sorted."""
    images = [yaml.safe_load(path.read_text()).get("image") for path in root.glob("models/*/model.yaml")]
    used = {(i["framework"], i["version"]) for i in images if isinstance(i, dict) and "framework" in i}
    return sorted(used.union(SUPPORTED))


def registries(framework: str, version: str) -> Iterator[str]:
    """The regions in which AWS publishes this framework."""
    from sagemaker.core import image_uris

    config: dict[str, Any] = image_uris.config_for_framework(framework)
    config = config.get("training", config)
    aliases: dict[str, str] = config.get("version_aliases", {})
    yield from sorted(config["versions"][aliases.get(version, version)]["registries"])


def resolve(images: list[tuple[str, str]]) -> dict[str, dict[str, dict[str, str]]]:
    """framework → version → region → URI."""
    from sagemaker.core import image_uris

    lock: dict[str, dict[str, dict[str, str]]] = {}
    for framework, version in images:
        lock.setdefault(framework, {})[version] = {
            region: image_uris.retrieve(framework, region, version=version, instance_type=INSTANCE_TYPE)
            for region in registries(framework, version)
        }
    return lock


def main() -> int:
    """Write the lock file."""
    try:
        lock = resolve(wanted())
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}: the SageMaker SDK is needed here; it installs on Python 3.11\n")
        return 1
    LOCK_FILE.write_text(HEADER + yaml.safe_dump(lock, sort_keys=True))
    sys.stdout.write(f"{LOCK_FILE}: {sum(len(v) for v in lock.values())} images\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
