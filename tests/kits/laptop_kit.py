"""The stack of an end-to-end test: Airflow and the local SageMaker as a user has them, apart from the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3

from tests.conftest import REPOSITORY, free_port


class Laptop:
    """`make up`, `make run` and `make down` in a folder and on ports of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        airflow_port, sagemaker_port = free_port(), free_port()
        self.airflow_url = f"http://127.0.0.1:{airflow_port}"
        self.sagemaker_url = f"http://127.0.0.1:{sagemaker_port}"
        self.environment = os.environ | {
            "RETRAINING_LOCAL": str(folder),
            "AIRFLOW_PORT": str(airflow_port),
            "SAGEMAKER_PORT": str(sagemaker_port),
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", *arguments]

    def stack(self, verb: str) -> None:
        subprocess.run(self.command("include.laptop.stack", verb), cwd=REPOSITORY, env=self.environment, check=True)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=REPOSITORY,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read(self, file: str) -> Any:
        return json.loads((self.folder / file).read_text())

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self.sagemaker_url, **keys)

    def versions(self, status: str) -> list[str]:
        try:
            found = self.client("sagemaker").list_model_packages(
                ModelPackageGroupName="flight-delay", ModelApprovalStatus=status
            )
        except self.client("sagemaker").exceptions.ClientError:
            return []
        return [package["ModelPackageArn"] for package in found["ModelPackageSummaryList"]]
