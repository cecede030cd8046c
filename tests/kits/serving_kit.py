"""From model.yaml to a served version: plans of a small project, deployed on the local SageMaker."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from sagemaker_retraining.endpoints.state import served_model, version_arn
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.verify import VerifyEndpointOperator
from sagemaker_retraining.registry import decide_version
from sagemaker_retraining.requests import build_requests
from sagemaker_retraining.requests.approval import CLI
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import IMAGE, model_archive
from tests.kits.project import ExampleProject

ENVIRONMENT = """\
environment: test
region: us-east-1
account: "123456789012"
bucket: {bucket}
role_arn: {role_arn}
"""
MODEL = """\
model: demo_model
problem: binary_classification
first_period: 2013-02
image: {image}
register: {{group: {name}}}
"""
INFERENCE = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}


class StateStore(dict[str, Any]):
    """What Airflow gives a task to remember things by: it survives retries and clearing."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Serving:
    """Versions, an endpoint and its tasks, all named after one test."""

    def __init__(self, server: LocalSageMaker, folder: Path, name: str) -> None:
        self.server = server
        self.name = name
        self.sagemaker = server.client("sagemaker")
        self.s3 = server.client("s3")
        self.project = ExampleProject(folder)
        self.use_bucket(server.bucket)
        self.store = StateStore()
        self.max_tries = 2
        """Airflow raises it when somebody clears the task, and leaves it over automatic retries."""

    def use_bucket(self, bucket: str) -> None:
        """The environment's bucket; data capture writes there."""
        self.project.write_environment(ENVIRONMENT.format(bucket=bucket, role_arn=self.server.role_arn))

    def plan(self, deploy: str = "", verify: str = "", **changes: Any) -> dict[str, Any]:
        """plan.json; `deploy` is more of that section, in YAML's flow style."""
        model = MODEL.format(image=IMAGE, name=self.name)
        model += f"deploy: {{endpoint: {self.name}{', ' + deploy if deploy else ''}}}\n"
        self.project.write_model(model + (f"verify: {{{verify}}}\n" if verify else ""))
        return json.loads(json.dumps(build_requests(self.project.plan(**changes))))

    def version(
        self,
        number: int,
        *,
        approved: bool = True,
        archive: bytes = b"",
        answers: str = "text/csv",
        period: str | None = None,
        **model: Any,
    ) -> str:
        """ARN of a new version of a model that multiplies by `factor`, with a sample of what it answers.

        `archive` is the model.tar.gz of another model, which answers in the content type `answers`.
        """
        prefix = f"serving/{self.name}/{number}/"
        body = archive or model_archive(**{"factor": number, **model})
        self.s3.put_object(Bucket=self.server.bucket, Key=f"{prefix}model.tar.gz", Body=body)
        rows = [{"content_type": "text/csv", "body": str(x), "prediction": float(x * number)} for x in (1, 2, 3)]
        sample = "\n".join(map(json.dumps, rows)).encode()
        self.s3.put_object(Bucket=self.server.bucket, Key=f"{prefix}sample.jsonl", Body=sample)
        if number == 1:
            self.sagemaker.create_model_package_group(ModelPackageGroupName=self.name)
        uri = f"s3://{self.server.bucket}/{prefix}"
        arn: str = self.sagemaker.create_model_package(
            ModelPackageGroupName=self.name,
            InferenceSpecification={
                "Containers": [{"Image": IMAGE, "ModelDataUrl": f"{uri}model.tar.gz", "Environment": INFERENCE}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": [answers],
            },
            ModelMetrics={
                "ModelQuality": {
                    "Statistics": {"ContentType": "application/json", "S3Uri": f"{uri}evaluation.json"},
                }
            },
            CustomerMetadataProperties={"period": period or f"2013-{number + 1:02}"},
            ModelApprovalStatus="PendingManualApproval",
        )["ModelPackageArn"]
        if approved:
            decide_version(self.sagemaker, arn, "Approved", by="jane", channel=CLI, reason="good", settle_seconds=0)
        return arn

    def deploy_operator(self, arn: str, plan: dict[str, Any], **options: Any) -> DeployEndpointOperator:
        """The task."""
        return DeployEndpointOperator(
            task_id="deploy", config=plan["deploy"], model_package_arn=arn, poll_seconds=0.1, **options
        )

    def deploy(self, arn: str, plan: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Deploy as a task of its own; its XCom."""
        self.store = StateStore()
        operator = self.deploy_operator(arn, plan or self.plan(), **options)
        result: dict[str, Any] = finished(operator, self.context())
        return result

    def verify_operator(
        self, number: int, deployment: dict[str, Any], plan: dict[str, Any] | None = None
    ) -> VerifyEndpointOperator:
        """The task, with the sample of a version."""
        return VerifyEndpointOperator(
            task_id="verify",
            config=(plan or self.plan())["verify"],
            deployment=deployment,
            sample_uri=f"s3://{self.server.bucket}/serving/{self.name}/{number}/sample.jsonl",
            poll_seconds=0.1,
        )

    def verify(self, number: int, deployment: dict[str, Any], plan: dict[str, Any] | None = None) -> dict[str, Any]:
        """Verify with the sample of a version."""
        result: dict[str, Any] = finished(self.verify_operator(number, deployment, plan), self.context())
        return result

    def context(self) -> dict[str, Any]:
        """What the operators take of a task's context."""
        return {
            "task_state_store": self.store,
            "dag_run": SimpleNamespace(run_type="manual"),
            "ti": SimpleNamespace(max_tries=self.max_tries, xcom_push=lambda key, value: None),
        }

    def endpoint(self) -> dict[str, Any]:
        """Describe."""
        found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=self.name)
        return found

    def served_version(self) -> str | None:
        """ARN of the version behind the main variant."""
        hook = RetrainingHook()
        return version_arn(hook, served_model(hook, self.endpoint()["EndpointConfigName"]))

    def configs(self) -> list[str]:
        """Of this endpoint."""
        found = self.sagemaker.list_endpoint_configs(NameContains=self.name)["EndpointConfigs"]
        return sorted(config["EndpointConfigName"] for config in found)

    def answer(self, body: str = "2", **options: Any) -> float:
        """Of the endpoint, to one number."""
        answer = self.server.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.name, ContentType="text/csv", Accept="text/csv", Body=body, **options
        )
        return float(answer["Body"].read())


def short_name(test: str) -> str:
    """An endpoint's name for a test: unique, and with room for what the tests add to it."""
    words = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower())[:28].strip("-")
    return f"{words}-{zlib.crc32(test.encode()):08x}"


def resumed(operator: Any, deferral: TaskDeferred, context: dict[str, Any]) -> Any:
    """The rest of an operator that deferred, playing the triggerer; also when it defers again."""

    async def event() -> Any:
        async for fired in deferral.trigger.run():
            return fired.payload

    method = getattr(operator, deferral.method_name)
    try:
        return method(context, event=asyncio.run(event()), **(deferral.kwargs or {}))
    except TaskDeferred as again:
        return resumed(operator, again, context)


def finished(operator: Any, context: dict[str, Any]) -> Any:
    """Run an operator to its end."""
    try:
        return operator.execute(context)
    except TaskDeferred as deferral:
        return resumed(operator, deferral, context)
