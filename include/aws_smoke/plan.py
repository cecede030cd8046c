"""What the smoke run sends: the package's own requests of a tiny model, in the environment that is asked for."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from include.aws_smoke.recording import Answer, Request
from sagemaker_retraining.config import EnvironmentConfig, load_environment, load_model, project_root
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import PlanDocument, RunPlan, build_plan, package_code
from sagemaker_retraining.requests import RunResults, build_requests, complete_package, metric_sources
from sagemaker_retraining.requests.registry import STATISTICS
from sagemaker_retraining.requests.transform import transform_templates

MODEL = "aws_smoke"
FOLDER = Path(__file__).with_name("model")
PERIOD = Period.parse("2020-02")
ROWS = "".join(f"{int(x + y > 6)},{x},{y}\n" for x in range(7) for y in range(7))
TRANSFORM_INSTANCE = "ml.m5.large"


@dataclass(frozen=True)
class Smoke:
    """One smoke run: `id` is in every name it makes, `prefix` is where all its objects are."""

    id: str
    plan: RunPlan
    requests: PlanDocument

    @property
    def environment(self) -> EnvironmentConfig:
        """Where it runs; its prefix is the run's own."""
        return self.plan.environment

    @property
    def prefix(self) -> str:
        """Key prefix of everything in the bucket."""
        return self.environment.key_prefix

    @property
    def raw_prefix(self) -> str:
        """Key prefix of the raw data."""
        return str(self.requests["data_ready"]["raw_prefix"])

    def objects(self) -> dict[str, bytes]:
        """Key → content of what must be there at the start: data, manifest, code, and the evaluation's stand-in."""
        raw, bucket = self.raw_prefix, f"s3://{self.environment.bucket}/"
        name = f"period={PERIOD}/rows.csv"
        manifest = json.dumps([{"prefix": f"{bucket}{raw}"}, name]).encode()
        location = self.requests["code"]
        code = {f"{location['files_uri']}{path}": content for path, content in self.plan.code.files}
        found = {
            **code,
            location["archive_uri"]: self.plan.code.archive(),
            self.requests["data_ready"]["manifest_uri"]: manifest,
            self.plan.run_uri("evaluation/evaluation.json"): b"{}",
            f"{bucket}{raw}{name}": ROWS.encode(),
        }
        return {uri.removeprefix(bucket): content for uri, content in found.items()}

    def package(self, training: Answer) -> Request:
        """CreateModelPackage for a described training job."""
        # Of the results of the tasks only what a version's request takes: here no gate and no evaluation ran.
        found: dict[str, Any] = {
            "training": {
                "name": training["TrainingJobName"],
                "arn": training["TrainingJobArn"],
                "model_artifact": training["ModelArtifacts"]["S3ModelArtifacts"],
                "metrics": {},
                "spot": False,
            },
            "gate": {"passed": True, "reason": "smoke", "challenger": {}},
            "raw_data": {"fingerprint": "0" * 64, "months": [str(PERIOD)]},
            "evaluation": {
                "arn": training["TrainingJobArn"],
                "outputs": {name: self.plan.run_uri(f"{name}/") for name in ("evaluation", "report")},
            },
            "preprocess": {"outputs": {"baseline": self.plan.run_uri("preprocess/baseline/")}},
        }
        results = RunResults(**found)
        statistics = {STATISTICS: metric_sources(results)[STATISTICS]}
        return complete_package(self.requests["register"]["package"], results, statistics)

    def transform(self, model: str) -> dict[str, Any]:
        """CreateTransformJob with the model, over the test rows without their labels."""
        request: dict[str, Any] = dict(transform_templates(self.plan)["transform"])
        request["ModelName"] = model
        request["TransformResources"]["InstanceType"] = TRANSFORM_INSTANCE
        request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] = self.plan.run_uri("preprocess/test/")
        request["DataProcessing"] = {"InputFilter": "$[1:]"}
        return request


def smoke(environment: str) -> Smoke:
    """Plan a run in `include/environments/<environment>.yaml`. Raises ConfigError for what is wrong there."""
    number = uuid.uuid4().hex[:8]
    load_environment(environment)  # says what is wrong with the file itself, under its own name
    with tempfile.TemporaryDirectory() as folder:
        root = _project(Path(folder) / "include", environment, number)
        model = load_model(MODEL, root, environment)
        plan = build_plan(
            model,
            load_environment(environment, root),
            PERIOD,
            dag_id="aws_smoke",
            run_id=f"aws-smoke-{number}",
            git_sha="unknown",
            code=package_code(root / "models" / MODEL),
        )
        return Smoke(number, plan, build_requests(plan))


def _project(root: Path, environment: str, number: str) -> Path:
    """A project of this model and this environment alone, all of whose names and URIs are the run's own."""
    source = project_root()
    shutil.copytree(FOLDER, root / "models" / MODEL)
    (root / "environments").mkdir()
    shutil.copy(source / "images.lock.yaml", root)
    file = f"environments/{environment}.yaml"
    settings = yaml.safe_load((source / file).read_text(encoding="utf-8"))
    prefix = "/".join(part for part in (settings.get("prefix"), f"aws-smoke/{number}") if part)
    name = f"aws-smoke-{number}"
    models = {MODEL: {"register": {"group": name}, "deploy": {"endpoint": name}}}
    (root / file).write_text(yaml.safe_dump({**settings, "prefix": prefix, "models": models}), encoding="utf-8")
    return root
