"""`python -m tests.e2e.release`: start the stack in RETRAINING_LOCAL, print its addresses, end with its input."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from include.laptop.layout import LOCAL, ROOT
from tests.chaos.stack import Stack
from tests.e2e.release import MODELS

STUB = '''"""The Airflow DAG of {model}."""

import sys

sys.path.insert(0, "{repository}")

from tests.e2e.release.dag import release_dag

dag = release_dag("{model}")
'''


def main() -> None:
    """One DAG file per model, as a project has them: a task's process reads its own only."""
    source = LOCAL / "source"
    shutil.copytree(Path(__file__).with_name("project"), source)
    (source / "dags").mkdir()
    for model in MODELS:
        (source / "dags" / f"{model}.py").write_text(STUB.format(model=model, repository=ROOT))
    # Nothing is killed here, and a busy machine may take long to read a DAG file.
    stack = Stack(source, MODELS, tuning={"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120"})
    try:
        stack.up()
        sys.stdout.write(json.dumps({"airflow": stack.where.airflow, "sagemaker": stack.where.sagemaker}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        stack.down()


if __name__ == "__main__":
    main()
