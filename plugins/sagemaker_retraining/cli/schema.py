"""`schema`: the JSON schema of the YAML files, for editors."""

from __future__ import annotations

import argparse
import json
import sys

from pydantic import BaseModel

from sagemaker_retraining.cli.command import Commands, add_command
from sagemaker_retraining.config import EnvironmentConfig, ModelConfig

EPILOG = """\
Editors with a YAML language server complete and check a file that begins with
  # yaml-language-server: $schema=<path of the schema>

examples:
  %(prog)s > model.schema.json
  %(prog)s environment > environment.schema.json
"""
_SCHEMAS: dict[str, type[BaseModel]] = {"model": ModelConfig, "environment": EnvironmentConfig}


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "schema",
        run,
        summary="print the JSON schema of model.yaml",
        description="Print the JSON schema of model.yaml, or of an environment's file.",
        epilog=EPILOG,
    )
    parser.add_argument("of", nargs="?", choices=list(_SCHEMAS), default="model", help="which file; default model")


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_SCHEMAS[arguments.of].model_json_schema(),
    }
    sys.stdout.write(json.dumps(schema, indent=2) + "\n")
    return 0
