"""Who imports whom: the contracts of pyproject.toml, and what runs in containers, which no contract can name."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
IN_CONTAINERS = (
    "include/models/*/*.py",
    "include/aws_smoke/model/*.py",
    "include/sagemaker_local/containers/programs/*.py",
    "plugins/sagemaker_retraining/cli/skeleton/*.py.txt",
    "tests/chaos/project/include/models/*/*.py",
)
PURE = ("config", "period", "plan", "requests", "outcomes")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_imports_keep_to_the_layers() -> None:
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert done.returncode == 0, done.stdout


def test_pure_modules_bring_in_nothing_heavy() -> None:
    """botocore is loaded when a request is checked, not when a DAG file is parsed."""
    modules = ", ".join(f"sagemaker_retraining.{name}" for name in PURE)
    heavy = {"airflow", "boto3", "botocore", "pandas", "numpy", "sagemaker"}
    done = run(sys.executable, "-c", f"import sys, {modules}; print(sorted({heavy!r} & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stdout + done.stderr


@pytest.mark.parametrize("pattern", IN_CONTAINERS)
def test_what_runs_in_containers_imports_nothing_of_the_project(pattern: str) -> None:
    """Those files are no modules of a package, so import-linter does not see them; there is no project beside them."""
    files = sorted(REPOSITORY.glob(pattern))
    assert files
    nodes = [(file.name, node) for file in files for node in ast.walk(ast.parse(file.read_text()))]
    imported = {(name, alias.name) for name, node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {(name, node.module or "") for name, node in nodes if isinstance(node, ast.ImportFrom)}
    project = {"sagemaker_retraining", "include", "benchmarks", "tests", "airflow", "moto"}
    assert not {one for one in imported if one[1].split(".")[0] in project}
