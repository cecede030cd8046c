"""The right requests: from the first object to an endpoint's answer, and a look at everything on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from include.aws_smoke.cleanup import Cleanup
from include.aws_smoke.plan import Smoke
from include.aws_smoke.probes import Probes
from include.aws_smoke.recorder import Recorder
from include.aws_smoke.recording import Answer, Request
from sagemaker_retraining.requests import deployment_requests, update_request
from sagemaker_retraining.requests.hosting import DeploymentRequests

CSV = {"ContentType": "text/csv", "Accept": "text/csv"}
MINUTES = {"preprocess": 6, "train": 6, "transform": 8, "endpoint": 20}
"""What each instance is expected to cost, from the start of its bill to its end; billed by the second on AWS."""


class SmokeError(Exception):
    """A step of the chain did not end as it should; the message says which and why."""


@dataclass
class Chain:
    """Steps in order; `run` does all. What a step makes is noted for the clean-up before it is asked for."""

    smoke: Smoke
    recorder: Recorder
    cleanup: Cleanup
    say: Callable[[str], None]
    training: Answer = field(init=False)
    """The description of the training job, from `train` on."""
    deployed: DeploymentRequests = field(init=False)
    """What `deploy` has made."""

    def run(self) -> None:
        """The whole chain, with the wrong requests where what they need is there."""
        probes = Probes(self.smoke, self.recorder, self.cleanup, self.say)
        self.objects()
        self.preprocess()
        probes.before_training()
        self.train()
        probes.after_training()
        arn = self.register()
        probes.of_packages(arn)
        self.approve(arn)
        self.deploy(arn)
        self.invoke()
        self.transform()
        probes.of_endpoints(self.deployed)

    def objects(self) -> None:
        """Data, manifest and code."""
        bucket = self.smoke.environment.bucket
        self.cleanup.objects(bucket, self.smoke.prefix)
        for key, content in self.smoke.objects().items():
            self.recorder.call("put-object", "s3", "PutObject", {"Bucket": bucket, "Key": key, "Body": content})

    def preprocess(self) -> None:
        """A processing job with a ManifestFile input; its script wrote down where the manifest's files were."""
        request = self.smoke.requests["preprocess"]
        name = request["ProcessingJobName"]
        self.say(f"processing job {name}")
        self.cleanup.job("Processing", name)
        self.call("preprocess", "CreateProcessingJob", request)
        self.ended("processing-describe", "Processing", name)
        key = f"{self.smoke.plan.prefix}preprocess/baseline/paths.txt"
        self.recorder.call("manifest-paths", "s3", "GetObject", {"Bucket": self.smoke.environment.bucket, "Key": key})

    def train(self) -> None:
        """A training job; its Describe has the metrics that the image's own definitions found."""
        request = self.smoke.requests["train"]
        name = request["TrainingJobName"]
        self.say(f"training job {name}")
        self.cleanup.job("Training", name)
        self.call("train", "CreateTrainingJob", request)
        self.training = self.ended("training-describe", "Training", name)
        self.call("list-jobs", "ListTrainingJobs", {"NameContains": name})
        self.recorder.call(
            "log-streams",
            "logs",
            "DescribeLogStreams",
            {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": name},
        )

    def register(self) -> str:
        """A version of a new group; its ARN."""
        group = self.smoke.requests["register"]["group"]
        self.say(f"model package group {group['ModelPackageGroupName']}")
        self.cleanup.group(group["ModelPackageGroupName"])
        self.call("group", "CreateModelPackageGroup", group)
        package = self.smoke.package(self.training)
        arn = str(self.call("package", "CreateModelPackage", package)["ModelPackageArn"])
        self.cleanup.package(arn)
        request = {"ModelPackageName": arn}
        self.recorder.wait("registry-describe", "DescribeModelPackage", request, "ModelPackageStatus", 600)
        return arn

    def approve(self, arn: str) -> None:
        """The version may be deployed."""
        self.call("approve", "UpdateModelPackage", {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"})

    def deploy(self, arn: str) -> None:
        """Model, endpoint config and endpoint."""
        requests = self.deployed = deployment_requests(self.smoke.requests["deploy"], arn)
        model, config, endpoint = requests["CreateModel"], requests["CreateEndpointConfig"], requests["CreateEndpoint"]
        name = endpoint["EndpointName"]
        self.say(f"endpoint {name}")
        self.cleanup.model(model["ModelName"])
        self.call("model", "CreateModel", model)
        self.call("hosting-describe", "DescribeModel", {"ModelName": model["ModelName"]})
        config_name = config["EndpointConfigName"]
        self.cleanup.config(config_name)
        self.call("config", "CreateEndpointConfig", config)
        self.call("hosting-describe", "DescribeEndpointConfig", {"EndpointConfigName": config_name})
        self.cleanup.endpoint(name)
        self.call("endpoint", "CreateEndpoint", endpoint)
        self.recorder.refused("update-in-progress", "sagemaker", "UpdateEndpoint", update_request(name, config_name))
        described = self.recorder.wait(
            "endpoint-describe", "DescribeEndpoint", {"EndpointName": name}, "EndpointStatus"
        )
        if described["EndpointStatus"] != "InService":
            raise SmokeError(f"endpoint {name} is {described['EndpointStatus']}: {described.get('FailureReason')}")

    def invoke(self) -> None:
        """A right row and a malformed one."""
        name = self.deployed["CreateEndpoint"]["EndpointName"]
        for step, body in (("invoke", "1,2\n"), ("invoke-malformed", "no number\n")):
            request = {"EndpointName": name, "Body": body.encode(), **CSV}
            self.recorder.refused(step, "sagemaker-runtime", "InvokeEndpoint", request)

    def transform(self) -> None:
        """A transform job of the same model."""
        request = self.smoke.transform(self.deployed["CreateModel"]["ModelName"])
        name = request["TransformJobName"]
        self.say(f"transform job {name}")
        self.cleanup.job("Transform", name)
        self.call("transform", "CreateTransformJob", request)
        self.ended("transform-describe", "Transform", name)

    def call(self, name: str, operation: str, request: Request) -> Answer:
        """A request that must succeed. Raises SmokeError."""
        try:
            return self.recorder.call(name, "sagemaker", operation, request)
        except ClientError as error:
            raise SmokeError(f"{name}: {error}") from error

    def ended(self, step: str, kind: str, name: str) -> Answer:
        """The description of a job that has ended well. Raises SmokeError."""
        described = self.recorder.wait(step, f"Describe{kind}Job", {f"{kind}JobName": name}, f"{kind}JobStatus")
        if described[f"{kind}JobStatus"] != "Completed":
            reason = described.get("ExitMessage") or described.get("FailureReason")
            raise SmokeError(f"{kind.lower()} job {name} is {described[f'{kind}JobStatus']}: {reason}")
        return described
