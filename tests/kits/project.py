"""A small project in a temporary folder: `include/` with one model and two environments, to be broken by tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sagemaker_retraining.config import load_environment, load_model
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import Champion, CodePackage, RunPlan, build_plan
from sagemaker_retraining.requests import RunResults

MODEL = """\
model: demo_model
problem: binary_classification
first_period: 2013-02
image: {framework: xgboost, version: 3.0-5}
"""
ENVIRONMENT = """\
environment: test
region: eu-west-1
account: "123456789012"
bucket: demo-bucket
role_arn: arn:aws:iam::123456789012:role/jobs
"""
# Everything an environment can say.
FULL_ENVIRONMENT = """\
environment: prod
region: eu-west-1
account: "123456789012"
bucket: demo-bucket
prefix: risk/prod
role_arn: arn:aws:iam::123456789012:role/jobs
aws_conn_id: aws_prod
project: demo
kms_key_arn: arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555
vpc:
  subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
  security_group_ids: [sg-0123456789abcdef0]
encrypt_traffic: true
tags: {data class: internal}
poll_seconds: {job: 60, approval: 120, endpoint: 60}
models:
  demo_model:
    preprocess:
      instance_type: ml.m5.4xlarge
      arguments: {sample: 0.5, verbose: true}
      environment: {LOG_LEVEL: debug}
    train:
      spot: {enabled: false}
      hyperparameters: {objective: "binary:logistic", eta: 0.1}
      environment: {OMP_NUM_THREADS: "4"}
    register:
      group: demo-model-{env}
      content_types: [text/csv, application/json]
      response_types: [application/json]
    deploy:
      instance_count: 2
      environment: {WORKERS: "2"}
      rollout: {strategy: canary, percent: 25, wait_seconds: 600}
      alarms: [{metric: error_rate, above: 0.05}, {metric: latency_p99_ms, above: 250, periods: 3}, {name: orders-lost}]
      autoscaling: {min_instances: 2, max_instances: 6, invocations_per_instance: 1200}
      keep: 3
    data: {history_months: 12, raw_uri: "s3://lake/flights/"}
"""
LOCK = """\
xgboost:
  3.0-5:
    eu-west-1: 141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5
"""
SCRIPTS = ("preprocess.py", "train.py", "evaluate.py", "inference.py")
CHAMPION = Champion(
    "arn:aws:sagemaker:eu-west-1:123456789012:model-package/demo-model/7", "s3://demo-bucket/old/model.tar.gz", 7
)
TRAINING = {
    "name": "demo-model-train-201311-00000000-g1",
    "arn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/demo-model-train-201311-00000000-g1",
    "model_artifact": "s3://demo-bucket/demo_model/runs/2013-11/x/model/demo-g1/output/model.tar.gz",
    "metrics": {"validation:auc": 0.71, "validation:logloss": None},
    "training_seconds": 100,
    "billable_seconds": 30,
    "savings_pct": 70.0,
    "interruptions": 1,
    "spot": True,
    "ended_at": "2013-12-01T07:00:00+00:00",
}
EVALUATED = {
    "arn": "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/demo-model-evaluate-201311-00000000-g1",
    "outputs": {
        "evaluation": "s3://demo-bucket/demo_model/runs/2013-11/x/evaluation-g1/",
        "report": "s3://demo-bucket/demo_model/runs/2013-11/x/report-g1/",
    },
}
PREPROCESSED = {
    "outputs": {
        name: f"s3://demo-bucket/demo_model/runs/2013-11/x/preprocess/{name}/"
        for name in ("train", "validation", "test", "baseline")
    }
}
GATE = {
    "passed": True,
    "reason": "all thresholds met; auc +0.0100 (-0.0020 to 0.0220)",
    "metric": "auc",
    "challenger": {"auc": 0.75, "accuracy": 0.8},
    "champion": {"auc": 0.74, "accuracy": 0.81},
}
GATE_CONFIG: dict[str, Any] = {
    "problem": "binary_classification",
    "minimum": {"auc": 0.6},
    "maximum": {},
    "metric": "auc",
    "direction": "maximize",
    "require": "not_worse",
    "tolerance": 0.005,
    "on_failure": "fail",
    "champion": None,
}
"""What the quality gate of a plan is told."""
RAW_DATA = {"fingerprint": "ab" * 32, "months": ["2013-01", "2013-02", "2013-11"]}
RESULTS = RunResults(training=TRAINING, gate=GATE, raw_data=RAW_DATA, evaluation=EVALUATED, preprocess=PREPROCESSED)
PLAN_CONTEXT: dict[str, Any] = {
    "dag": SimpleNamespace(dag_id="demo_model_retraining"),
    "run_id": "manual__1",
    "params": {"period": "2013-11"},
    "dag_run": SimpleNamespace(
        data_interval_start=None, data_interval_end=None, logical_date=None, run_after=datetime(2026, 1, 1, tzinfo=UTC)
    ),
}
"""The context in which the plan task of a DAG runs."""
PACKAGE_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/demo-model/8"


class ExampleProject:
    """The files, and what is made of them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "include"
        self.folder = self.root / "models" / "demo_model"
        self.folder.mkdir(parents=True)
        (self.root / "environments").mkdir()
        for script in SCRIPTS:
            (self.folder / script).write_text(f'"""{script}"""\n')
        (self.folder / "evaluate.py").write_text('METRICS = ("auc", "rmse", "my_profit")\n')
        (self.root / "images.lock.yaml").write_text(LOCK)
        self.write_model(MODEL)
        self.write_environment(ENVIRONMENT)
        self.write_environment(FULL_ENVIRONMENT, "prod")

    def write_model(self, text: str) -> None:
        """Replace model.yaml."""
        (self.folder / "model.yaml").write_text(text)

    def write_environment(self, text: str, name: str = "test") -> None:
        """Replace an environment's file."""
        (self.root / "environments" / f"{name}.yaml").write_text(text)

    def plan(self, environment: str = "test", period: str = "2013-11", **changes: Any) -> RunPlan:
        """A run's plan; its code is not read from the folder."""
        arguments = {
            "dag_id": "demo_model_retraining",
            "run_id": "scheduled__2013-12-01T06:00:00+00:00",
            "git_sha": "0123456789abcdef0123456789abcdef01234567",
            "code": CodePackage("c0de" * 16, ()),
            **changes,
        }
        model = load_model("demo_model", self.root, environment)
        return build_plan(model, load_environment(environment, self.root), Period.parse(period), **arguments)
