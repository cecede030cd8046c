"""The files of a model's folder that go to SageMaker, and their archive: the same files, the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from sagemaker_retraining.config.network import REQUIREMENTS, names_packages

# Beside the code: for people, for the pipeline, for the laptop.
_NOT_CODE = frozenset({"model.yaml", "sample_data.py", "backtest.py"})
_NOT_CODE_FOLDERS = frozenset({"tests", "__pycache__"})


@dataclass(frozen=True)
class CodePackage:
    """The code of a model: `files` are (path in the folder, content), sorted; `sha256` is over both."""

    sha256: str
    files: tuple[tuple[str, bytes], ...]

    @property
    def installs_packages(self) -> bool:
        """Whether there is a requirements.txt that names packages."""
        return any(name == REQUIREMENTS for name, _ in self.files)

    def archive(self) -> bytes:
        """`sourcedir.tar.gz` of script mode, the same bytes whenever and wherever it is made."""
        tar_bytes = io.BytesIO()
        with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in self.files:
                member = tarfile.TarInfo(name)  # owner 0, modified 1970-01-01
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return gzip.compress(tar_bytes.getvalue(), mtime=0)


def package_code(folder: Path) -> CodePackage:
    """Read the code of the model in `folder`."""
    files = tuple((name, (folder / name).read_bytes()) for name in code_files(folder))
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return CodePackage(digest.hexdigest(), files)


def code_files(folder: Path) -> list[str]:
    """Paths of the code, relative to the folder, sorted.

    Everything but READMEs, model.yaml, tests, caches, hidden files, what only a laptop runs, and a requirements.txt
    that names nothing (with one, every job would start with pip).
    """
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path.as_posix() for path in paths if _is_code(path) and not _is_empty_requirements(folder, path)]


def _is_code(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    apart = not _NOT_CODE_FOLDERS.isdisjoint(path.parts[:-1]) or path.as_posix() in _NOT_CODE
    return not (hidden or apart or path.name.startswith("README") or path.suffix == ".pyc")


def _is_empty_requirements(folder: Path, path: Path) -> bool:
    return path.as_posix() == REQUIREMENTS and not names_packages(folder)
