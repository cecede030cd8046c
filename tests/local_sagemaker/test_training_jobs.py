"""Training jobs really train: script mode through AWS's toolkit, artefacts, metrics, and every way they end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.kits.job_kit import OWN_IMAGE, Jobs, archive, unpacked

TRAIN = """
import argparse, json, os
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("--depth", type=int)
parser.add_argument("--label")
options = parser.parse_args()
data = Path(os.environ["SM_CHANNEL_TRAIN"])
print("files", sorted(str(path) for path in data.rglob("*") if path.is_file()))
print("[1] validation-auc:0.61")
print("[2]", "validation-auc:0.63")
Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps(vars(options)))
Path(os.environ["SM_OUTPUT_DATA_DIR"], "curve.csv").write_text("1,2")
"""
READY = "import time; print('ready', flush=True); time.sleep(600)"


def _statuses(job: dict[str, Any]) -> list[str]:
    return [transition["Status"] for transition in job["SecondaryStatusTransitions"]]


def test_script_mode_from_channels_to_model(jobs: Jobs) -> None:
    jobs.put("script-mode/train/part/a.csv", "1")
    request = jobs.training_request("script-mode", TRAIN, Environment={"MODE": "test"})
    request["HyperParameters"] |= {"depth": "4", "label": '"late"'}
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{jobs.server.bucket}/script-mode/train"}
    request["InputDataConfig"] = [
        {"ChannelName": "train", "DataSource": {"S3DataSource": source}, "ContentType": "text/csv"}
    ]
    definition = {"Name": "validation:auc", "Regex": "validation-auc:([0-9.]+)"}
    request["AlgorithmSpecification"] |= {"TrainingImage": OWN_IMAGE, "MetricDefinitions": [definition]}
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("script-mode")

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed"), job.get("FailureReason")
    artefact = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert artefact == f"s3://{jobs.server.bucket}/script-mode/model/script-mode/output/model.tar.gz"
    model = unpacked(jobs.get("script-mode/model/script-mode/output/model.tar.gz"))
    assert json.loads(model["model.json"]) == {"depth": 4, "label": "late"}
    assert unpacked(jobs.get("script-mode/model/script-mode/output/output.tar.gz")) == {"curve.csv": "1,2"}
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [
        ("validation:auc", pytest.approx(0.63))
    ]
    [lines] = jobs.log_streams("Training", "script-mode")
    assert "files ['/opt/ml/input/data/train/part/a.csv']" in lines
    assert "[2] validation-auc:0.63" in lines  # a line that Python writes in pieces is one line in the log


@pytest.mark.aws_fact("training-metric-definitions-first-party")
def test_metric_definitions_are_refused_for_an_algorithm_of_aws(jobs: Jobs) -> None:
    """Also in script mode; a copy of the image in one's own registry takes them."""
    request = jobs.training_request("own-definitions", "")
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "auc", "Regex": "auc:(.*)"}]
    with pytest.raises(ClientError) as refused:
        jobs.sagemaker.create_training_job(**request)
    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the "
        "request without specifying metric definitions.",
    }
    copied = OWN_IMAGE.replace("mine", "sagemaker-xgboost")
    request["AlgorithmSpecification"]["TrainingImage"] = copied
    jobs.sagemaker.create_training_job(**request)
    assert jobs.end_of_training("own-definitions")["TrainingJobStatus"] == "Completed"


@pytest.mark.aws_fact("training-builtin-metrics")
@pytest.mark.aws_fact("training-log-control-characters")
@pytest.mark.aws_fact("training-metric-precision")
def test_an_algorithm_of_aws_reads_xgboosts_own_lines(jobs: Jobs) -> None:
    """The log shows a tab as #011, and the last number counts, with single precision and at a whole second."""
    lines = [
        r"[0]\ttrain-auc:0.6\tvalidation-auc:0.5",
        r"[50]\ttrain-auc:0.9\tvalidation-auc:0.71234\tvalidation-logloss:3e-1",
        "[60/400] validation-auc:0.99999 (0.003 s a round)",
        r"\tvalidation-mae:1",
    ]
    script = "".join(f"print('{line}')\n" for line in lines)
    job = jobs.train("builtin-metrics", "", **jobs.plain_container("builtin-metrics", script))
    found = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert found == {
        "train:auc": 0.8999999761581421,
        "validation:auc": 0.7123399972915649,
        "validation:logloss": 0.30000001192092896,
    }
    assert all(metric["Timestamp"].microsecond == 0 for metric in job["FinalMetricDataList"])
    [log] = jobs.log_streams("Training", "builtin-metrics")
    assert "[50]#011train-auc:0.9#011validation-auc:0.71234#011validation-logloss:3e-1" in log
    definitions = {d["Name"]: d["Regex"] for d in job["AlgorithmSpecification"]["MetricDefinitions"]}
    assert definitions["validation:rmse"] == (
        r".*\[[0-9]+\].*#011validation-rmse:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"
    )
    assert len(definitions) <= 40, "what the API allows"


@pytest.mark.aws_fact("describe-training-pending")
@pytest.mark.aws_fact("describe-training-time")
@pytest.mark.aws_fact("describe-billable-on-demand")
def test_transitions_are_contiguous_and_times_agree(jobs: Jobs) -> None:
    job = jobs.train("times", "", **jobs.plain_container("times", ""))
    assert _statuses(job) == ["Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"]
    transitions = job["SecondaryStatusTransitions"]
    assert all(transition["StatusMessage"] for transition in transitions)
    for before, after in itertools.pairwise(transitions):
        assert before["EndTime"] == after["StartTime"]
    assert transitions[-1]["StartTime"] == transitions[-1]["EndTime"]
    assert job["TrainingStartTime"] == transitions[2]["StartTime"]
    assert job["TrainingEndTime"] >= transitions[-1]["StartTime"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    assert job["ResourceConfig"]["InstanceCount"] == 1


@pytest.mark.aws_fact("failure-training-script")
def test_a_script_that_exits_3_fails_the_job_as_the_toolkit_does(jobs: Jobs) -> None:
    script = """
import os
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/debug.txt", "w").write("why")
open(os.environ["SM_MODEL_DIR"] + "/half.bin", "w").write("half")
raise SystemExit(3)
"""
    job = jobs.train("train-exit-3", script)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    command = f"{jobs.server.health()['python']} -m train"
    assert job["FailureReason"] == f'AlgorithmError: ExecuteUserScriptError:\nCommand "{command}", exit code: 1'
    assert jobs.keys("train-exit-3/model/train-exit-3/output/") == ["output.tar.gz"]
    assert "ModelArtifacts" not in job


@pytest.mark.aws_fact("image-training-toolkit")
def test_what_a_script_says_of_its_failure_is_in_the_log_alone(jobs: Jobs) -> None:
    """`python -m` of the script's module, with sorted hyperparameters; the exit code is the toolkit's own."""
    request = jobs.training_request("traceback", "raise ValueError('the column dep_delay is missing')")
    request["HyperParameters"] |= {"eta": "0.3", "depth": "4", "n": "1"}
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("traceback")
    command = f"{jobs.server.health()['python']} -m train --depth 4 --eta 0.3 -n 1"
    assert job["FailureReason"] == f'AlgorithmError: ExecuteUserScriptError:\nCommand "{command}", exit code: 1'
    [lines] = jobs.log_streams("Training", "traceback")
    said = lines.index("ValueError: the column dep_delay is missing")
    assert f'Command "{command}"' in lines[said:]


ENVIRONMENT = """
import json, os, sys, wheel_of_own
print(json.dumps({"argv": sys.argv, "main": __name__, "cwd": os.getcwd(), "found": wheel_of_own.NAME}))
print("SM", *sorted(name for name in os.environ if name.startswith("SM_")))
"""


@pytest.mark.aws_fact("image-training-toolkit")
def test_code_with_a_setup_of_its_own_is_installed_by_pip(jobs: Jobs) -> None:
    """From its own package folder too; and only what the image's toolkit sets is set."""
    setup = "setup(name='own', version='1', py_modules=['wheel_of_own'], package_dir={'': 'src'})"
    setup = f"from setuptools import setup\n{setup}"
    code = archive({"train.py": ENVIRONMENT, "setup.py": setup, "src/wheel_of_own.py": "NAME = 'own'"})
    request = jobs.training_request("own-setup", "", Environment={"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"})
    jobs.put("own-setup/sourcedir.tar.gz", code)
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("own-setup")
    [lines] = jobs.log_streams("Training", "own-setup")
    assert job["TrainingJobStatus"] == "Completed", lines
    [said] = [json.loads(line) for line in lines if line.startswith('{"argv"')]
    assert said == {"argv": ["/opt/ml/code/train.py"], "main": "__main__", "cwd": "/opt/ml/code", "found": "own"}
    [names] = [line.split()[1:] for line in lines if line.startswith("SM ")]
    assert {"SM_MODEL_DIR", "SM_HPS", "SM_USER_ARGS", "SM_NUM_CPUS", "SM_MODULE_NAME"} <= set(names)
    assert "SM_CURRENT_INSTANCE_TYPE" not in names, "of newer toolkits"


@pytest.mark.aws_fact("image-training-toolkit")
def test_a_setup_that_fails_is_an_install_error(jobs: Jobs) -> None:
    request = jobs.training_request("bad-setup", "")
    jobs.put("bad-setup/sourcedir.tar.gz", archive({"train.py": "", "setup.py": "raise SystemExit('no setup')"}))
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("bad-setup")
    command = f"{jobs.server.health()['python']} -m pip install . "
    assert job["FailureReason"] == f'AlgorithmError: InstallModuleError:\nCommand "{command.strip()}", exit code: 1'


def test_a_container_of_its_own_writes_its_own_reason(jobs: Jobs) -> None:
    script = "import sys; open('/opt/ml/output/failure', 'w').write('no data: ' + 'x' * 2000); sys.exit(7)"
    job = jobs.train("own-reason", "", **jobs.plain_container("own-reason", script))
    assert job["FailureReason"].startswith("AlgorithmError: no data: xxx")
    assert job["FailureReason"].endswith("x, exit code: 7")
    assert len(job["FailureReason"]) == 1024


def test_a_model_may_be_kept_uncompressed(jobs: Jobs) -> None:
    request = jobs.training_request("plain-model", "")
    request |= jobs.plain_container("plain-model", "open('/opt/ml/model/m.txt', 'w').write('m')")
    request["OutputDataConfig"]["CompressionType"] = "NONE"
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("plain-model")
    folder = "plain-model/model/plain-model/output/model/"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{jobs.server.bucket}/{folder}"
    assert jobs.keys(folder) == ["m.txt"]


def test_an_algorithm_without_a_script_says_what_is_missing(jobs: Jobs) -> None:
    job = jobs.train("no-script", "", HyperParameters={"max_depth": "4"})
    assert job["TrainingJobStatus"] == "Failed"
    assert "give the hyperparameters sagemaker_program" in job["FailureReason"]


@pytest.mark.aws_fact("training-empty-prefix")
def test_a_channel_without_objects_is_refused_at_once(jobs: Jobs) -> None:
    url = f"s3://{jobs.server.bucket}/no/data"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": url}}
    request = jobs.training_request("no-data", "")
    request["InputDataConfig"] = [{"ChannelName": "train", "DataSource": source}]
    with pytest.raises(ClientError) as refused:
        jobs.sagemaker.create_training_job(**request)
    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": f'No S3 objects found under S3 URL "{url}" given in input data source. Please ensure that the '
        f"bucket exists in the selected region (us-east-1), that objects exist under that S3 prefix, and that the role "
        f'"{jobs.server.role_arn}" has "s3:ListBucket" permissions on bucket "{jobs.server.bucket}".',
    }


def test_what_a_manifest_names_and_is_not_there_fails_the_job_before_training(jobs: Jobs) -> None:
    url = jobs.put("gone/manifest", json.dumps([{"prefix": f"s3://{jobs.server.bucket}/gone/"}, "a.csv"]))
    source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": url}}
    job = jobs.train("gone", "", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    assert _statuses(job) == ["Starting", "Pending", "Downloading", "Failed"]
    assert job["FailureReason"] == (
        f'ClientError: Data download failed:No S3 objects found under S3 URL "s3://{jobs.server.bucket}/gone/a.csv" '
        f"given in input data source."
    )
    assert jobs.log_streams("Training", "gone") == []


@pytest.mark.aws_fact("stop-ended-job")
def test_stop_lets_a_script_that_sees_sigterm_finish_its_model(jobs: Jobs) -> None:
    script = """
import signal, sys, time
def bye(*_):
    open("/opt/ml/model/partial.txt", "w").write("partial"); sys.exit(0)
signal.signal(signal.SIGTERM, bye)
print("ready", flush=True)
time.sleep(600)
"""
    jobs.start_training("stop-train", "", **jobs.plain_container("stop-train", script))
    jobs.wait_for_line("Training", "stop-train", "ready")
    jobs.sagemaker.stop_training_job(TrainingJobName="stop-train")
    job = jobs.end_of_training("stop-train")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert _statuses(job) == ["Starting", "Pending", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/stop-train/output/model.tar.gz")
    assert unpacked(jobs.get("stop-train/model/stop-train/output/model.tar.gz")) == {"partial.txt": "partial"}
    with pytest.raises(ClientError, match="rejected because the training job is in status Stopped"):
        jobs.sagemaker.stop_training_job(TrainingJobName="stop-train")


def test_in_script_mode_the_script_is_killed_without_seeing_sigterm(jobs: Jobs) -> None:
    script = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("got SIGTERM", flush=True))
print("ready", flush=True)
while True: time.sleep(0.1)
"""
    job = jobs.train("max-run", script, StoppingCondition={"MaxRuntimeInSeconds": 3})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert _statuses(job) == ["Starting", "Pending", "Downloading", "Training", "Stopping", "MaxRuntimeExceeded"]
    assert "FailureReason" not in job
    assert "ModelArtifacts" not in job
    if jobs.server.health()["isolation"] == "namespaces":  # without a PID namespace the toolkit dies of SIGTERM
        [lines] = jobs.log_streams("Training", "max-run")
        assert "got SIGTERM" not in lines


@pytest.mark.aws_fact("training-name-taken")
def test_a_name_is_used_once_until_it_is_deleted(jobs: Jobs) -> None:
    request = jobs.training_request("train-twice", "", **jobs.plain_container("train-twice", READY))
    jobs.sagemaker.create_training_job(**request)
    with pytest.raises(
        ClientError, match="Training job names must be unique within an AWS account and region"
    ) as refused:
        jobs.sagemaker.create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
    with pytest.raises(ClientError, match="rejected because the training job is in status InProgress"):
        jobs.sagemaker.delete_training_job(TrainingJobName="train-twice")
    jobs.sagemaker.stop_training_job(TrainingJobName="train-twice")
    jobs.end_of_training("train-twice")
    jobs.sagemaker.delete_training_job(TrainingJobName="train-twice")
    with pytest.raises(ClientError, match=r"Requested resource not found\."):
        jobs.sagemaker.describe_training_job(TrainingJobName="train-twice")
    listed = jobs.sagemaker.list_training_jobs(NameContains="train-twice")
    assert listed["TrainingJobSummaries"] == []


@pytest.mark.aws_fact("event-repeats")
def test_state_changes_are_events_with_times_in_milliseconds(jobs: Jobs) -> None:
    events, sqs = jobs.server.client("events"), jobs.server.client("sqs")
    queue = sqs.create_queue(QueueName="training-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.sagemaker"], "detail": {"TrainingJobName": ["with-events"]}}
    events.put_rule(Name="training-events", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="training-events", Targets=[{"Id": "queue", "Arn": arn}])
    job = jobs.train("with-events", "", Tags=[{"Key": "a", "Value": "b"}], **jobs.plain_container("with-events", ""))

    received = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        received += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    [last] = [event for event in received if event["detail"]["TrainingJobStatus"] == "Completed"]
    assert last["detail-type"] == "SageMaker Training Job State Change"
    assert last["resources"] == [job["TrainingJobArn"]]
    assert last["detail"]["TrainingEndTime"] == int(job["TrainingEndTime"].timestamp() * 1000)
    assert last["detail"]["Tags"] == {"a": "b"}
    seen = {event["detail"]["SecondaryStatus"] for event in received}
    assert seen == {"Starting", "Pending", "Downloading", "Training", "Uploading", "Completed"}


def _bad_role(request: dict[str, Any]) -> None:
    request["RoleArn"] = "arn:aws:iam::123456789012:role/nobody"


def _foreign_role(request: dict[str, Any]) -> None:
    request["RoleArn"] = "arn:aws:iam::210987654321:role/sagemaker-retraining-local"


def _long_name(request: dict[str, Any]) -> None:
    request["TrainingJobName"] = "n" * 70


def _short_wait(request: dict[str, Any]) -> None:
    request["EnableManagedSpotTraining"] = True
    request["StoppingCondition"] = {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 99}


def _no_wait(request: dict[str, Any]) -> None:
    request["EnableManagedSpotTraining"] = True


def _wait_without_spot(request: dict[str, Any]) -> None:
    request["StoppingCondition"] = {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 100}


def _no_bucket(request: dict[str, Any]) -> None:
    request["OutputDataConfig"]["S3OutputPath"] = "s3://no-such-bucket-1/x"


def _bad_regex(request: dict[str, Any]) -> None:
    definitions = [{"Name": "auc", "Regex": "auc:("}]
    request["AlgorithmSpecification"] |= {"TrainingImage": OWN_IMAGE, "MetricDefinitions": definitions}


def _two_sources(request: dict[str, Any]) -> None:
    request["AlgorithmSpecification"]["AlgorithmName"] = "xgboost"


WAIT = "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_bad_role, "Could not assume role arn:aws:iam::123456789012:role/nobody"),
        (_foreign_role, "RoleArn: Cross-account pass role is not allowed."),
        (_long_name, "at 'trainingJobName' failed to satisfy constraint"),
        (_short_wait, WAIT),
        (_no_wait, WAIT),
        (_wait_without_spot, "It is only supported when EnableManagedSpotTraining is set to true"),
        (_no_bucket, "Could not access the S3 bucket no-such-bucket-1"),
        (_bad_regex, "of metric auc is not valid"),
        (_two_sources, "exactly one of TrainingImage and AlgorithmName"),
    ],
)
@pytest.mark.aws_fact("training-role-not-assumable")
@pytest.mark.aws_fact("training-role-cross-account")
@pytest.mark.aws_fact("training-max-wait-without-spot")
def test_a_bad_request_is_refused_and_leaves_no_job(jobs: Jobs, spoil: Any, message: str) -> None:
    request = jobs.training_request(f"refused{spoil.__name__.replace('_', '-')}", "")
    spoil(request)
    with pytest.raises(ClientError, match=message) as refused:
        jobs.sagemaker.create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    listed = jobs.sagemaker.list_training_jobs(NameContains=request["TrainingJobName"][:63])
    assert listed["TrainingJobSummaries"] == []


@pytest.mark.aws_fact("training-quota-refused")
def test_more_instances_than_this_machine_is_are_above_the_quota(jobs: Jobs) -> None:
    request = jobs.training_request("two-instances", "")
    request["ResourceConfig"]["InstanceCount"] = 2
    with pytest.raises(ClientError, match="request delta of 2 Instances") as refused:
        jobs.sagemaker.create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
