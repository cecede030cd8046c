"""Requests that are wrong on purpose: SageMaker's answers to them close open rows of tests/truth/facts (`probe`).

A refused request costs nothing. One that is accepted against expectation is stopped or deleted with the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.aws_smoke.cleanup import Cleanup
from include.aws_smoke.plan import Smoke
from include.aws_smoke.recorder import Recorder
from include.aws_smoke.recording import Request
from sagemaker_retraining.requests import update_request
from sagemaker_retraining.requests.hosting import DeploymentRequests

NOBODY = "aws-smoke-nobody"
STRANGER = "arn:aws:iam::111122223333:role/aws-smoke"
_NAMES = {"CreateTrainingJob": "Training", "CreateProcessingJob": "Processing", "CreateTransformJob": "Transform"}


@dataclass(frozen=True)
class Probes:
    """Each method needs what the chain has made until then."""

    smoke: Smoke
    recorder: Recorder
    cleanup: Cleanup
    say: Callable[[str], None]

    def before_training(self) -> None:
        """Wrong training and processing jobs, and names that nothing has."""
        account = self.smoke.environment.account
        role = f"arn:aws:iam::{account}:role/{NOBODY}"
        nothing = f"{self.smoke.plan.run_uri('nothing/')}"
        definitions = [{"Name": "validation:auc", "Regex": "validation-auc:([0-9.]+)"}]
        key = f"arn:aws:kms:{self.smoke.environment.region}:{account}:key/00000000-0000-0000-0000-000000000000"
        train = "CreateTrainingJob"
        self.job("metric-definitions", train, {"AlgorithmSpecification.MetricDefinitions": definitions})
        self.job("missing-prefix", train, {"InputDataConfig.0.DataSource.S3DataSource.S3Uri": nothing})
        self.job("wrong-role", train, {"RoleArn": role})
        self.job("role-of-another-account", train, {"RoleArn": STRANGER})
        self.job("max-wait-without-spot", train, {"StoppingCondition.MaxWaitTimeInSeconds": 3600})
        local_disk = {"ResourceConfig.InstanceType": "ml.g4dn.xlarge", "ResourceConfig.VolumeKmsKeyId": key}
        self.job("volume-key-local-storage", train, local_disk)
        image = {"AppSpecification.ImageUri": "docker.io/library/python:3.12"}
        self.job("image-outside-ecr", "CreateProcessingJob", image)
        self.send("processing-name-taken", "CreateProcessingJob", self.smoke.requests["preprocess"])
        for kind in _NAMES.values():
            self.send("describe-missing", f"Describe{kind}Job", {f"{kind}JobName": NOBODY})
        self.send("stop-unknown-transform", "StopTransformJob", {"TransformJobName": NOBODY})
        self.send("hosting-missing", "DescribeModel", {"ModelName": NOBODY})
        self.send("hosting-missing", "DescribeEndpointConfig", {"EndpointConfigName": NOBODY})
        self.send("hosting-missing", "DescribeEndpoint", {"EndpointName": NOBODY})
        self.invoke("invoke-unknown-endpoint", "InvokeEndpoint", {"EndpointName": NOBODY, "Body": b"1"})
        self.send("registry-missing", "DescribeModelPackageGroup", {"ModelPackageGroupName": NOBODY})

    def after_training(self) -> None:
        """The same job again, and a stop that comes too late."""
        request = self.smoke.requests["train"]
        self.send("training-name-taken", "CreateTrainingJob", request)
        self.send("stop-ended-job", "StopTrainingJob", {"TrainingJobName": request["TrainingJobName"]})

    def of_packages(self, arn: str) -> None:
        """Of the registry and of models; the version is not approved yet."""
        group = self.smoke.requests["register"]["group"]
        self.send("group-taken", "CreateModelPackageGroup", group)
        self.send("registry-missing", "DescribeModelPackage", {"ModelPackageName": f"{arn.rpartition('/')[0]}/999"})
        package = copy.deepcopy(self.smoke.requests["register"]["package"])
        self.send("package-with-both-names", "CreateModelPackage", {**package, "ModelPackageName": NOBODY})
        self.send("version-with-tags", "CreateModelPackage", {**package, "Tags": group["Tags"]})
        role = self.smoke.environment.role_arn
        image = self.smoke.plan.model.image.uri
        missing = {"Image": image, "ModelDataUrl": self.smoke.plan.run_uri("nothing/model.tar.gz")}
        repository = f"{self.smoke.environment.account}.dkr.ecr.{self.smoke.environment.region}.amazonaws.com"
        containers = {
            "model-of-unapproved-version": {"ModelPackageName": arn},
            "model-without-artefact": missing,
            "model-image-missing": {"Image": f"{repository}/{NOBODY}:latest"},
        }
        for probe, container in containers.items():
            name = f"{self.smoke.requests['register']['group']['ModelPackageGroupName']}-{probe}"
            self.cleanup.model(name)
            self.send(
                probe, "CreateModel", {"ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": container}
            )

    def of_endpoints(self, deployed: DeploymentRequests) -> None:
        """Of configs and endpoints, the endpoint being InService; last, because the config it is on gets deleted."""
        endpoint, config = deployed["CreateEndpoint"]["EndpointName"], deployed["CreateEndpointConfig"]
        self.send("hosting-name-taken", "CreateModel", deployed["CreateModel"])
        self.send("hosting-name-taken", "CreateEndpointConfig", config)
        self.send("hosting-name-taken", "CreateEndpoint", deployed["CreateEndpoint"])
        location = self.smoke.plan.run_uri("preprocess/test/rows.csv")
        self.invoke("invoke-wrong-kind", "InvokeEndpointAsync", {"EndpointName": endpoint, "InputLocation": location})
        absent = self.smoke.transform(deployed["CreateModel"]["ModelName"])
        absent["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] = self.smoke.plan.run_uri("nothing/")
        self.job("transform-missing-prefix", "CreateTransformJob", {}, absent)

        serverless: dict[str, Any] = copy.deepcopy(dict(config))
        [variant] = serverless["ProductionVariants"]
        del variant["InstanceType"], variant["InitialInstanceCount"]
        variant["ServerlessConfig"] = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
        self.config("capture-on-serverless", {**serverless, "EndpointConfigName": f"{endpoint}-captured"})
        del serverless["DataCaptureConfig"]
        self.config("kind-change", {**serverless, "EndpointConfigName": f"{endpoint}-serverless"})
        self.update("kind-change", endpoint, f"{endpoint}-serverless")
        self.config("update-after-config-deleted", {**config, "EndpointConfigName": f"{endpoint}-second"})
        current = {"EndpointConfigName": config["EndpointConfigName"]}
        self.send("update-after-config-deleted", "DeleteEndpointConfig", current)
        self.update("update-after-config-deleted", endpoint, f"{endpoint}-second")

    def job(self, probe: str, operation: str, changes: Mapping[str, object], request: Request | None = None) -> None:
        """A job that is like the chain's (or like `request`) but for its name and these members."""
        kind = _NAMES[operation]
        requests = self.smoke.requests
        right: dict[str, Request] = {"Training": requests["train"], "Processing": requests["preprocess"]}
        wrong: dict[str, Any] = copy.deepcopy(dict(request or right[kind]))
        wrong[f"{kind}JobName"] = f"{NOBODY}-{self.smoke.id}-{probe}"
        for path, value in changes.items():
            _set(wrong, path.split("."), value)
        name = {f"{kind}JobName": wrong[f"{kind}JobName"]}
        self.cleanup.job(kind, wrong[f"{kind}JobName"])
        if self.send(probe, operation, wrong):
            self.recorder.refused(probe, "sagemaker", f"Stop{kind}Job", name)

    def config(self, probe: str, request: Request) -> None:
        """An endpoint config."""
        self.cleanup.config(str(request["EndpointConfigName"]))
        self.send(probe, "CreateEndpointConfig", request)

    def update(self, probe: str, endpoint: str, config: str) -> None:
        """UpdateEndpoint, and how the endpoint is when it has come to rest."""
        self.send(probe, "UpdateEndpoint", update_request(endpoint, config))
        self.recorder.wait(probe, "DescribeEndpoint", {"EndpointName": endpoint}, "EndpointStatus")

    def invoke(self, probe: str, operation: str, request: Request) -> None:
        """A request to an endpoint."""
        self.send(probe, operation, {"ContentType": "text/csv", **request}, "sagemaker-runtime")

    def send(self, probe: str, operation: str, request: Request, service: str = "sagemaker") -> bool:
        """Send it, and say what came of it; whether it was accepted."""
        code = self.recorder.refused(probe, service, operation, request)
        self.say(f"  {probe}: {operation}: {code or 'accepted'}")
        return code is None


def _set(value: Any, path: list[str], new: Any) -> None:
    """Set a member; a number in the path is an index."""
    *way, last = path
    for part in way:
        value = value[int(part)] if part.isdigit() else value[part]
    value[last] = new
