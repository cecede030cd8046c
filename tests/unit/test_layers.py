"""The layers of the package, as pyproject.toml states them: data moves down, imports point up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
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
