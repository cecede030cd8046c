"""`new`: adds a model that runs as it is, and that people change step by step into their own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sagemaker_retraining.cli.command import Commands, add_command
from sagemaker_retraining.config import ConfigError, model_names, project_root
from sagemaker_retraining.config.patterns import ModelName

SKELETON = Path(__file__).parent / "skeleton"
# The templates' names end in .txt so that no tool takes them for code of this package. The example model's baseline.py
# is a link to the one here, not the reverse: the wheel must hold the file itself.
SUFFIX = ".txt"
# Airflow looks only into files that hold the words airflow and dag: the first line is needed.
DAG_FILE = '''"""The Airflow DAGs of the model {name}; everything about it is in include/models/{name}/."""

from sagemaker_retraining.dags import promotion_dag, retraining_dag, rollback_dag

dag = retraining_dag("{name}")
rollback = rollback_dag("{name}")
promotion = promotion_dag("{name}")
'''
EPILOG = """\
Writes include/models/<model>/ (model.yaml, the four scripts that run in SageMaker, sample data for a laptop) and
dags/<model>.py. `lint` finds nothing wrong with it and it runs at once; then put in your data and your model.

examples:
  %(prog)s churn
"""


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "new", run, summary="add a model", description="Add a model that runs as it is.", epilog=EPILOG
    )
    parser.add_argument("model", help="its name: 2 to 30 of a-z, 0-9 and _")


def run(arguments: argparse.Namespace) -> int:
    """Write the files and say what to do next."""
    name = arguments.model
    root = project_root()
    written = write_model(name, root)
    for path in written:
        sys.stdout.write(f"wrote {path.relative_to(root.parent)}\n")
    sys.stdout.write(f"next: python -m sagemaker_retraining lint {name}; make run MODEL={name}\n")
    return 0


def write_model(name: str, root: Path) -> list[Path]:
    """Write the model's folder and its DAG file. Raises ConfigError for a bad name or one that exists already."""
    try:
        TypeAdapter(ModelName).validate_python(name)
    except ValidationError as error:
        raise ConfigError([str(error.errors()[0]["ctx"]["error"])]) from error
    dag_file = root.parent / "dags" / f"{name}.py"
    if name in model_names(root):
        raise ConfigError([f"include/models/{name} is there already; choose another name or change its files"])
    if dag_file.exists():
        raise ConfigError([f"dags/{dag_file.name} is there already; choose another name"])
    texts = {root / "models" / name / file.name.removesuffix(SUFFIX): _fill(file, name) for file in _templates()}
    if dag_file.parent.is_dir():
        texts[dag_file] = DAG_FILE.replace("{name}", name)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(texts)


def _fill(template: Path, name: str) -> str:
    """A template's text. {name} is filled in except in Python files, where it belongs to an f-string."""
    text = template.read_text()
    return text if template.name.endswith(f".py{SUFFIX}") else text.replace("{name}", name)


def _templates() -> list[Path]:
    return sorted(SKELETON.glob(f"*{SUFFIX}"))
