"""Configuration: what is right loads with its defaults; what is wrong is one sentence with file, line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sagemaker_retraining.config import (
    ConfigError,
    environment_name,
    load_environment,
    load_model,
    model_names,
    project_root,
)
from tests.kits.project import ENVIRONMENT, MODEL, ExampleProject

FILE = "include/models/demo_model/model.yaml"
ENV_FILE = "include/environments/test.yaml"


@pytest.fixture
def project(tmp_path: Path) -> ExampleProject:
    return ExampleProject(tmp_path)


def problems_of_model(project: ExampleProject, environment: str = "test") -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_model("demo_model", project.root, environment)
    return error.value.problems


def problems_of_environment(project: ExampleProject, name: str = "test") -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_environment(name, project.root)
    return error.value.problems


class TestGood:
    def test_four_keys_are_enough(self, project: ExampleProject) -> None:
        model = load_model("demo_model", project.root, "test")
        assert (model.slug, model.group, model.endpoint) == ("demo-model", "demo-model", "demo-model-{env}")
        assert model.train.max_wait_seconds == 2 * model.train.max_runtime_seconds
        assert model.deploy.data_capture.sampling_percentage == 20
        assert (model.gate_metric, model.gate_direction) == ("auc", "maximize")

    def test_the_image_is_resolved_for_the_region(self, project: ExampleProject) -> None:
        image = load_model("demo_model", project.root, "test").image
        assert image.uri == "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5"

    def test_an_image_can_be_a_uri(self, project: ExampleProject) -> None:
        uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine@sha256:" + "0" * 64
        project.write_model(MODEL.replace("{framework: xgboost, version: 3.0-5}", uri))
        assert load_model("demo_model", project.root, "test").image.uri == uri

    def test_an_environment_overrides_a_model(self, project: ExampleProject) -> None:
        here, there = (load_model("demo_model", project.root, name) for name in ("test", "prod"))
        assert (here.train.max_wait_seconds, there.train.max_wait_seconds) == (14400, None)
        assert there.preprocess.instance_type == "ml.m5.4xlarge"
        assert there.preprocess.max_runtime_seconds == here.preprocess.max_runtime_seconds

    @pytest.mark.parametrize(
        ("problem", "gate", "metric", "direction"),
        [
            ("binary_classification", "", "auc", "maximize"),
            ("binary_classification", "metric: log_loss", "log_loss", "minimize"),
            ("binary_classification", "metric: log_loss, direction: minimize", "log_loss", "minimize"),
            ("binary_classification", "metric: brier", "brier", "minimize"),
            ("binary_classification", "metric: false_positive_rate", "false_positive_rate", "minimize"),
            ("binary_classification", "metric: f2", "f2", "maximize"),
            ("multiclass_classification", "", "accuracy", "maximize"),
            ("multiclass_classification", "metric: log_loss", "log_loss", "minimize"),
            ("regression", "", "rmse", "minimize"),
            ("regression", "metric: r2", "r2", "maximize"),
            ("regression", "metric: my_profit, direction: maximize", "my_profit", "maximize"),
            ("regression", "metric: my_profit, direction: minimize", "my_profit", "minimize"),
        ],
    )
    def test_a_metric_knows_its_direction(
        self, project: ExampleProject, problem: str, gate: str, metric: str, direction: str
    ) -> None:
        project.write_model(MODEL.replace("binary_classification", problem) + f"quality_gate: {{{gate}}}\n")
        model = load_model("demo_model", project.root, "test")
        assert (model.gate_metric, model.gate_direction) == (metric, direction)

    def test_thresholds_may_be_of_the_models_own_metrics(self, project: ExampleProject) -> None:
        project.write_model(MODEL + "quality_gate: {minimum: {my_profit: 5, f1: 0.5}, maximum: {log_loss: 1}}\n")
        assert load_model("demo_model", project.root, "test").quality_gate.minimum["my_profit"] == 5

    def test_an_image_of_ones_own_may_have_metrics_of_its_log(self, project: ExampleProject) -> None:
        """Also a copy of AWS's image in a registry of one's own."""
        own = MODEL.replace(
            "{framework: xgboost, version: 3.0-5}",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5",
        )
        project.write_model(own + METRICS)
        [metric] = load_model("demo_model", project.root, "test").train.metrics
        assert metric.name == "auc"

    def test_nothing_changes_after_loading(self, project: ExampleProject) -> None:
        model = load_model("demo_model", project.root, "test")
        with pytest.raises(ValidationError):
            model.model = "other"


METRICS = "train: {metrics: [{name: auc, regex: 'auc:(.*)'}]}\n"


# what is added to a good file -> what the first message says
BAD_MODELS = {
    METRICS: "5: train.metrics: sagemaker-xgboost is an image of AWS's own, whose training jobs SageMaker refuses with",
    "train: {hyperparametrs: {eta: 1}}": "5: train.hyperparametrs: unknown key; did you mean 'hyperparameters'?",
    "zzzzzz: 1": "5: zzzzzz: unknown key; the keys here are approval, cost_center, data,",
    "deploy:\n  data_capture:\n    sampling: 5": "7: deploy.data_capture.sampling: unknown key; did you mean 'sam",
    "cost_center: 1001": '5: cost_center: expected text, got 1001; write it in quotes: "1001"',
    "owner: yes": '5: owner: expected text, got yes; write it in quotes: "yes"',
    "owner:": "5: owner: expected text, got nothing",
    "train: {max_runtime_seconds: 1h}": "5: train.max_runtime_seconds: expected a whole number, got '1h'",
    "train: {max_runtime_seconds: 0}": "5: train.max_runtime_seconds: input should be greater than or equal to 1",
    "train: 5": "5: train: expected a mapping (`key: value`), got 5",
    "train: {spot: {max_wait_seconds: 60}}": "5: train.spot.max_wait_seconds: 60 is less than max_runtime_seconds 7200",
    "train: {spot: false}": "5: train.spot: expected a mapping (`key: value`), got False",
    "train: {instance_type: m5.xlarge}": "5: train.instance_type: 'm5.xlarge' is not a SageMaker instance type",
    "train: {hyperparameters: {sagemaker_x: 1}}": "5: train.hyperparameters.sagemaker_x: names that start with sage",
    "train: {hyperparameters: {a: [1, 2]}}": "5: train.hyperparameters.a: expected true or false or a whole number or",
    "train: {metrics: [{name: a, regex: 'x=[0-9'}]}": "5: train.metrics[0].regex: 'x=[0-9' is not a regular expression",
    "train: {metrics: [{name: a, regex: 'x=1'}]}": "5: train.metrics[0].regex: 'x=1' has no (group)",
    "train: {metrics: [{regex: '(1)'}]}": "5: train.metrics[0].name: is missing: Name of the metric",
    "preprocess: {arguments: {period: x}}": "5: preprocess.arguments.period: is given by the run",
    "data: {raw_uri: /data/raw}": "5: data.raw_uri: '/data/raw' is not an S3 prefix such as s3://bucket/path/",
    "data: {raw_uri: s3://Bucket/x/}": "5: data.raw_uri: 's3://Bucket/x/' is not an S3 prefix",
    "data: {history_months: 0}": "5: data.history_months: must be 1 to 1200, or all; got 0",
    "data: {history_months: some}": "5: data.history_months: expected 'all' or a whole number, got 'some'",
    "deploy: {endpoint: fraud_detector}": "5: deploy.endpoint: 'fraud_detector' is not a name of a-z",
    "deploy: {endpoint: '{stage}-x'}": "5: deploy.endpoint: '{stage}-x' is not a name of a-z",
    f"deploy: {{endpoint: {'x' * 53}}}": "5: deploy.endpoint: 'xxx",
    f"deploy: {{endpoint: '{'x' * 48}{{env}}-y'}}": "5: deploy.endpoint: 'xxx",
    "register: {content_types: []}": "5: register.content_types: ",
    "register: {content_types: csv}": "5: register.content_types: expected a list (`[a, b]`), got 'csv'",
    "quality_gate: {metric: acu}": "5: quality_gate.metric: 'acu' is not a known metric of binary_classification: did "
    "you mean 'auc'?; with a metric of your own, say `direction: maximize` or `minimize`",
    "quality_gate: {metric: rmse}": "5: quality_gate.metric: 'rmse' is not a known metric of binary_classification:",
    "quality_gate: {metric: my_profit}": "5: quality_gate.metric: 'my_profit' is not a known metric",
    "quality_gate: {metric: log_loss, direction: maximize}": "5: quality_gate.direction: less log_loss is better, got",
    "quality_gate: {direction: minimize}": "5: quality_gate.direction: more auc is better, got minimize; leave the key",
    "quality_gate: {metric: my_proft, direction: maximize}": "5: quality_gate.metric: 'my_proft' is not a known metric "
    "of binary_classification, and no script of include/models/demo_model names it; known are accuracy, auc",
    "quality_gate:\n  minimum:\n    acu: 0.6": "7: quality_gate.minimum.acu: 'acu' is not a known metric of "
    "binary_classification, and no script of include/models/demo_model names it; did you mean 'auc'?",
    "quality_gate: {maximum: {logloss_: 1}}": "5: quality_gate.maximum.logloss_: 'logloss_' is not a known metric",
    "quality_gate: {minimum: {AUC: 0.6}}": "5: quality_gate.minimum.AUC: 'AUC' is not a known metric of binary_classifi"
    "cation, and no script of include/models/demo_model names it; did you mean 'auc'?",
    "quality_gate: {minimum: {auc: .nan}}": "5: quality_gate.minimum.auc: input should be a finite number, got nan",
    "quality_gate: {tolerance: .inf}": "5: quality_gate.tolerance: input should be a finite number, got inf",
    "cost_center: 0017": '5: cost_center: expected text, got 0017; write it in quotes: "0017"',
    "train: {hyperparameters: {eta: 0,2}}": "5: train.hyperparameters: the key 2 is no text; a number is",
    "preprocess: {script: prep.py}": "5: preprocess.script: there is no prep.py in include/models/demo_model; did",
    "preprocess: {script: ../x.py}": "5: preprocess.script: '../x.py' is not the name of a .py file",
    "model: demo_model": "5: model: is given twice, first in line 1; keep one",
    "a: [1": "is not YAML: ",
    "\towner: x": "is not YAML: ",
    "owner: *nobody": "is not YAML: ",
    "owner: !!python/object:os.system x": "is not YAML: ",
}


@pytest.mark.parametrize(("added", "message"), BAD_MODELS.items(), ids=list(BAD_MODELS))
def test_bad_model(project: ExampleProject, added: str, message: str) -> None:
    project.write_model(MODEL + added + "\n")
    problems = problems_of_model(project)
    assert problems[0].startswith(f"{FILE}:")
    assert message in problems[0]
    assert len(problems) == 1


# what is replaced in the good file -> by what -> message
BAD_VALUES = [
    ("first_period: 2013-02", "first_period: 2013-13", "3: first_period: '2013-13' is not a month written YYYY-MM"),
    ("first_period: 2013-02", "first_period: 2013-02-01", "3: first_period: expected text, got 2013-02-01"),
    ("first_period: 2013-02\n", "", "1: first_period: is missing: First month a run can be about"),
    ("binary_classification", "clustering", "2: problem: expected 'binary_classification', 'multiclass"),
    ("demo_model", "other_model", "1: model: 'other_model' differs from its folder's name 'demo_model'"),
    ("demo_model", "Demo-Model", "1: model: 'Demo-Model' is not a model name: 2 to 30 of a-z"),
    ("demo_model", "d" * 31, "1: model: 'ddd"),
    ("version: 3.0-5", "version: 3.0", '4: image.version: expected text, got 3.0; write it in quotes: "3.0"'),
    ("version: 3.0-5", "version: 9.9-1", "4: image.version: '9.9-1' is not in include/images.lock.yaml (there: 3.0-5)"),
    ("framework: xgboost", "framework: xgbost", "4: image.framework: 'xgbost' is not in include/images.lock.yaml"),
    (", version: 3.0-5", "", "4: image: give framework and version, or uri"),
    ("{framework: xgboost, version: 3.0-5}", "xgboost", "4: image: 'xgboost' is not the URI of an image in Amazon ECR"),
    (
        "{framework: xgboost, version: 3.0-5}",
        "docker.io/me/x:1",
        "'docker.io/me/x:1' is not the URI of an image in Amazon",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD_VALUES)
def test_bad_value(project: ExampleProject, old: str, new: str, message: str) -> None:
    project.write_model(MODEL.replace(old, new))
    [problem] = problems_of_model(project)
    assert message in problem


def test_all_problems_are_listed_in_the_files_order(project: ExampleProject) -> None:
    project.write_model(MODEL + "ownr: x\ntrain:\n  instance_type: big\n  volume_gb: -1\ncost_center: 5\n")
    lines = [problem.split(": ")[0] for problem in problems_of_model(project)]
    assert lines == [f"{FILE}:{line}" for line in (5, 7, 8, 9)]


# Seven lists of nine aliases each, of the list before: 9 ** 7 items.
MULTIPLIED = b"a: &a [1]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b", ".join([b"*%c" % (name - 1)] * 9)) for name in b"bcdefgh"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": is empty; see docs/configuration.md"),
        (b"# nothing\n", ": is empty"),
        (b"- a\n- b\n", ":1: expected `key: value` lines"),
        (b"model: \xff\xfe", ": cannot be read: "),
        (b"a: &x\n  b: *x\n", ":2: a.b: is an alias of what it stands in itself; write out what is meant"),
        (b"a: &x [1, *x]\n", ":1: a[1]: is an alias of what it stands in itself"),
        (b"train: &t\n  <<: *t\n", ":2: train.<<: is an alias of what it stands in itself"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, ": is nested too deeply to be a configuration"),
        (MULTIPLIED, ": has more than 20000 keys, aliases counted each time"),
        (b"first_period: 2013-02-31\n", ": a value cannot be read: "),
    ],
)
def test_unusable_file(project: ExampleProject, content: bytes, message: str) -> None:
    (project.folder / "model.yaml").write_bytes(content)
    [problem] = problems_of_model(project)
    assert problem.startswith(FILE + message)


def test_missing_files(project: ExampleProject) -> None:
    (project.folder / "inference.py").unlink()
    assert "there is no inference.py in include/models/demo_model" in problems_of_model(project)[0]
    (project.folder / "model.yaml").unlink()
    assert problems_of_model(project) == [f"{FILE}: there is no such file"]
    with pytest.raises(ConfigError, match="no such model; did you mean 'demo_model'"):
        load_model("demo_mdel", project.root, "test")


BAD_ENVIRONMENTS = [
    ("arn:aws:iam::123456789012:role/jobs", "arn:aws:iam::123456789012:user/me", "5: role_arn: 'arn:aws:iam::1"),
    (
        "iam::123456789012",
        "iam::210987654321",
        "5: role_arn: arn:aws:iam::210987654321:role/jobs is not a role of account",
    ),
    ("demo-bucket", "s3://demo-bucket", "4: bucket: 's3://demo-bucket' is not a bucket name"),
    ('"123456789012"', "123456789012", '3: account: expected text, got 123456789012; write it in quotes: "1234'),
    ("eu-west-1", "Ireland", "2: region: 'Ireland' is not an AWS region"),
    ("environment: test", "environment: tset", "1: environment: 'tset' differs from the file's name 'test'"),
    ("demo-bucket", "demo-bucket\nprefix: /dev/", "5: prefix: '/dev/' is not a key prefix: at most 200 of"),
    ("demo-bucket", "demo-bucket\nprefix: dev/", "5: prefix: 'dev/' is not a key prefix"),
    ("demo-bucket", "demo-bucket\nprefix: a/../b", "5: prefix: 'a/../b' is not a key prefix"),
    ("demo-bucket", "demo-bucket\nprefix: s3://x/dev", "5: prefix: 's3://x/dev' is not a key prefix"),
    ("demo-bucket", "demo..bucket", "4: bucket: 'demo..bucket' is not a bucket name"),
    ("demo-bucket", "192.168.0.1", "4: bucket: '192.168.0.1' is not a bucket name"),
    ("demo-bucket", "demo-bucket\ntags: {model: x}", "5: tags.model: is set by every run, like project, model, env"),
    ("demo-bucket", "demo-bucket\ntags: {'aws:x': x}", "5: tags.aws:x: names that start with aws: are reserved by AWS"),
    (
        "demo-bucket",
        "demo-bucket\nvpc: {subnets: [], security_group_ids: [sg-0123456789abcdef0]}",
        "5: vpc.subnets: expected at least 1 of them, got []",
    ),
    ('"123456789012"', "012345670123", '3: account: expected text, got 012345670123; write it in quotes: "0123'),
    ("bucket:", "buckt:", "4: buckt: unknown key; did you mean 'bucket'?"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD_ENVIRONMENTS)
def test_bad_environment(project: ExampleProject, old: str, new: str, message: str) -> None:
    project.write_environment(ENVIRONMENT.replace(old, new))
    assert any(problem.startswith(f"{ENV_FILE}:{message}") for problem in problems_of_environment(project))


def test_a_region_without_an_image_is_named_where_it_stands(project: ExampleProject) -> None:
    project.write_environment(ENVIRONMENT.replace("eu-west-1", "eu-west-2"))
    [problem] = problems_of_model(project)
    assert problem.startswith(
        f"{ENV_FILE}:2: region: 'eu-west-2' is not in include/images.lock.yaml (there: eu-west-1)"
    )


def test_prose_is_no_metric(project: ExampleProject) -> None:
    """What a docstring or a comment mentions, evaluate does not write."""
    (project.folder / "evaluate.py").write_text('"""Writes my_loss."""\nx = {"my_gain": 1}  # my_loss\nf(my_cost=2)\n')
    project.write_model(MODEL + "quality_gate: {minimum: {my_gain: 1}, maximum: {my_cost: 1, my_loss: 1}}\n")
    [problem] = problems_of_model(project)
    assert "quality_gate.maximum.my_loss: 'my_loss' is not a known metric" in problem


def test_an_unknown_environment_lists_those_there_are(project: ExampleProject) -> None:
    assert problems_of_environment(project, "staging") == [
        "include/environments/staging.yaml: there is no environment 'staging' (RETRAINING_ENV); there are prod, test"
    ]


def test_overrides_are_checked_where_they_stand(project: ExampleProject) -> None:
    project.write_environment(ENVIRONMENT + "models:\n  demo_model:\n    train: {instance_typ: x}\n")
    assert problems_of_model(project) == [
        f"{ENV_FILE}:8: train.instance_typ: unknown key; did you mean 'instance_type'?"
    ]
    project.write_environment(ENVIRONMENT + "models:\n  demo: {}\n")
    assert problems_of_environment(project) == [f"{ENV_FILE}:7: models.demo: unknown model; did you mean 'demo_model'?"]


def test_where_things_are(project: ExampleProject, tmp_path: Path) -> None:
    assert project_root({"RETRAINING_HOME": str(tmp_path)}) == project.root
    assert "flight_delay" in model_names(project_root({}))
    with pytest.raises(ConfigError, match=r"RETRAINING_HOME=.*/nowhere is not the folder that holds include/"):
        project_root({"RETRAINING_HOME": str(tmp_path / "nowhere")})
    assert environment_name({}) == "local"
    assert environment_name({"RETRAINING_ENV": "prod"}) == "prod"


def test_a_folder_where_a_file_should_be(project: ExampleProject) -> None:
    (project.folder / "model.yaml").unlink()
    (project.folder / "model.yaml").mkdir()
    [problem] = problems_of_model(project)
    assert problem.startswith(f"{FILE}: cannot be read: ")


@pytest.mark.aws_fact("training-metric-definitions-first-party")
def test_metrics_are_refused_for_aws_own_image_however_it_is_named(project: ExampleProject) -> None:
    """In the environment's overrides, and with the image's URI."""
    uri = "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    project.write_model(MODEL.replace("{framework: xgboost, version: 3.0-5}", uri))
    project.write_environment(ENVIRONMENT + "models: {demo_model: {" + METRICS.strip() + "}}\n")
    [problem] = problems_of_model(project)
    assert problem.startswith(f"{ENV_FILE}:6: train.metrics: sagemaker-xgboost is an image of AWS's own")
    assert "validation-auc:0.81" in problem
