"""Our job operators against the local SageMaker: one job per task, whatever happens between two tries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout, TaskDeferralTimeout, TaskDeferred
from botocore.exceptions import ClientError

from include.sagemaker_local.state.spot import DEFAULT
from sagemaker_retraining.hooks import PROCESSING, described_or_none
from sagemaker_retraining.job_identity import first_difference, generation_of
from sagemaker_retraining.job_log import JobLog
from sagemaker_retraining.operators.jobs import ResumableProcessingOperator, ResumableTrainingOperator
from sagemaker_retraining.outcomes import AlgorithmError, CapacityError, JobClientError, QuotaTooSmall, SpotTimeout
from sagemaker_retraining.requests.validation import RequestError
from tests.conftest import LocalSageMaker
from tests.kits.job_kit import Jobs

pytestmark = pytest.mark.usefixtures("aws_connection")
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"


class StateStore(dict[str, Any]):
    """What Airflow gives a task to remember things by: it survives retries and clearing."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


@pytest.fixture
def context() -> dict[str, Any]:
    return {"task_state_store": StateStore()}


def config(server: LocalSageMaker, name: str, script: str) -> dict[str, Any]:
    key = f"resumable/{name}/script.py"
    server.client("s3").put_object(Bucket=server.bucket, Key=key, Body=script.encode())
    return {
        "ProcessingJobName": name,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/script.py"],
        },
        "ProcessingInputs": [
            {
                "InputName": "code",
                "S3Input": {
                    "S3Uri": f"s3://{server.bucket}/{key}",
                    "LocalPath": "/opt/ml/processing/input/code",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        "RoleArn": server.role_arn,
    }


def operator(config: dict[str, Any], **kwargs: Any) -> ResumableProcessingOperator:
    arguments = {"deferrable": False, "poll_seconds": 0.1, **kwargs}
    return ResumableProcessingOperator(task_id="job", config=config, **arguments)


def jobs(server: LocalSageMaker, name: str) -> list[str]:
    found = server.client("sagemaker").list_processing_jobs(NameContains=name)["ProcessingJobSummaries"]
    return sorted(job["ProcessingJobName"] for job in found)


def test_a_retry_adopts_the_job_that_ended_meanwhile(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    request = config(sagemaker_local, "adopt", "print('hello')")
    first = operator(request).execute(context)
    context["task_state_store"].clear()  # the worker died before it could record the result
    second = operator(request).execute(context)
    assert first == second
    assert first["status"] == "Completed"
    assert jobs(sagemaker_local, "adopt") == ["adopt"]


def test_a_cleared_task_does_it_again(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    request = config(sagemaker_local, "again", "print('hello')")
    names = [operator(request).execute(context)["name"] for _ in range(3)]
    assert names == ["again", "again-g1", "again-g2"]


@pytest.mark.usefixtures("as_dag_role")
def test_a_retry_after_a_record_that_failed_half_way_pays_for_no_second_job(
    sagemaker_local: LocalSageMaker, context: dict[str, Any]
) -> None:
    """The worker died, or Airflow failed, after the task had noted the generation and before its XCom was there."""
    request = config(sagemaker_local, "half-way", "print('hello')")
    context["ti"] = TaskInstance("running")
    first = operator(request).execute(context)
    context["ti"] = TaskInstance("running", try_number=2)
    assert operator(request).execute(context) == first
    assert jobs(sagemaker_local, "half-way") == ["half-way"]
    # A person who clears the task has it done again, and a try of that which fails half-way does not pay twice either.
    for try_number in (3, 4):
        context["ti"] = TaskInstance("running", try_number, max_tries=5)
        assert operator(request).execute(context)["name"] == "half-way-g1"
    assert jobs(sagemaker_local, "half-way") == ["half-way", "half-way-g1"]


def test_a_failed_job_gets_the_next_generation(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    request = config(sagemaker_local, "fails", "raise SystemExit(3)")
    for _ in range(2):
        with pytest.raises(AlgorithmError, match="exit code: 3"):
            operator(request).execute(context)
    assert jobs(sagemaker_local, "fails") == ["fails", "fails-g1"]


@pytest.mark.aws_fact("describe-training-echo")
def test_a_retry_attaches_to_the_running_job(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    wait_for_file = (
        "import boto3, time\n"
        "s3 = boto3.client('s3')\n"
        f"while not s3.list_objects_v2(Bucket={sagemaker_local.bucket!r}, Prefix='resumable/go').get('KeyCount'):\n"
        "    time.sleep(0.1)\n"
    )
    request = config(sagemaker_local, "attach", wait_for_file)
    with pytest.raises(TaskDeferred) as deferred:
        operator(request, deferrable=True).execute(context)
    assert deferred.value.trigger.name == "attach"
    with pytest.raises(TaskDeferred):
        operator(request, deferrable=True).execute(context)
    assert jobs(sagemaker_local, "attach") == ["attach"]
    sagemaker_local.client("s3").put_object(Bucket=sagemaker_local.bucket, Key="resumable/go", Body=b"")
    assert operator(request).execute(context)["status"] == "Completed"


def test_a_running_job_of_another_request_is_left_alone(
    sagemaker_local: LocalSageMaker, context: dict[str, Any]
) -> None:
    request = config(sagemaker_local, "foreign", "import time; time.sleep(600)")
    sagemaker_local.client("sagemaker").create_processing_job(**request)
    other = {**request, "Environment": {"A": "b"}}
    with pytest.raises(AirflowFailException, match=r"running from another request \(Environment"):
        operator(other).execute(context)
    killed = operator(request)
    killed._job = "foreign"
    killed.on_kill()
    status = sagemaker_local.client("sagemaker").describe_processing_job(ProcessingJobName="foreign")
    assert status["ProcessingJobStatus"] in {"Stopping", "Stopped"}


def test_nothing_is_sent_when_the_request_is_wrong(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    request = config(sagemaker_local, "wrong-name", "")
    request["ProcessingJobName"] = "n" * 70
    with pytest.raises(RequestError, match="ProcessingJobName"):
        operator(request).execute(context)
    assert jobs(sagemaker_local, "nnn") == []


def test_an_input_known_only_later_is_filled_in(sagemaker_local: LocalSageMaker) -> None:
    request = config(sagemaker_local, "later", "")
    filled = operator(request, s3_uris={"code": "s3://other/key"}).request()
    assert filled["ProcessingInputs"][0]["S3Input"]["S3Uri"] == "s3://other/key"
    with pytest.raises(AirflowFailException, match="'model' is none of the inputs"):
        operator(request, s3_uris={"model": "s3://other/key"}).request()


def test_a_cleared_task_writes_beside_what_it_wrote_before(
    sagemaker_local: LocalSageMaker, context: dict[str, Any]
) -> None:
    request = config(sagemaker_local, "beside", "open('/opt/ml/processing/output/x', 'w').write('1')")
    output = {"S3Uri": f"s3://{sagemaker_local.bucket}/resumable/beside/out/", "LocalPath": "/opt/ml/processing/output"}
    outputs = [{"OutputName": "out", "S3Output": {**output, "S3UploadMode": "EndOfJob"}}]
    request["ProcessingOutputConfig"] = {"Outputs": outputs}
    uris = [operator(request).execute(context)["outputs"]["out"] for _ in range(2)]
    prefix = f"s3://{sagemaker_local.bucket}/resumable/beside/out"
    assert uris == [f"{prefix}/", f"{prefix}-g1/"]


@pytest.mark.usefixtures("as_dag_role")
def test_the_log_of_a_job_that_is_waited_for_on_the_worker(
    sagemaker_local: LocalSageMaker, context: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import time; print('line one', flush=True); time.sleep(2); print('line two')"
    request = config(sagemaker_local, "chatty", script)
    operator(request).execute(context)
    assert re.findall(r"\| (line \w+)", capsys.readouterr().out) == ["line one", "line two"], "each once"
    log = JobLog(operator(request).sagemaker, PROCESSING, "chatty")
    assert [line for line in log.new_lines() if line.startswith("line")] == ["line one", "line two"]
    assert list(log.new_lines()) == []


def test_trouble_with_the_log_is_no_trouble_with_the_job(
    sagemaker_local: LocalSageMaker, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: JobLog) -> list[str]:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeLogStreams")

    monkeypatch.setattr(JobLog, "new_lines", refuse)
    request = config(sagemaker_local, "silent", "print('hello')")
    assert operator(request).execute(context)["status"] == "Completed"


def test_all_clients_are_patient(sagemaker_local: LocalSageMaker) -> None:
    hook = operator(config(sagemaker_local, "patient", "")).sagemaker
    clients = (hook.api, hook.s3, hook.logs_hook.conn, hook.client("cloudwatch"))
    assert [client.meta.config.retries for client in clients] == [{"mode": "standard", "total_max_attempts": 10}] * 4


TRAINING = """
import argparse, os, pathlib, shutil
parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int)
parser.add_argument("--fail", type=int)
arguments = parser.parse_args()
folder = pathlib.Path("/opt/ml/checkpoints")
done = max((int(file.name) for file in folder.iterdir()), default=0)
print(f"from round {done}", flush=True)
for number in range(done, arguments.rounds):
    (folder / str(number + 1)).touch()
    if number + 1 == arguments.fail:
        raise SystemExit("a mistake")
"""


def training(server: LocalSageMaker, name: str, **hyperparameters: int) -> ResumableTrainingOperator:
    """A task that trains with checkpoints, and fails after the round `fail`."""
    request = Jobs(server).training_request(name, TRAINING)
    request["CheckpointConfig"] = {"S3Uri": f"s3://{server.bucket}/{name}/checkpoints/"}
    request["HyperParameters"] |= {key: str(value) for key, value in hyperparameters.items()}
    return ResumableTrainingOperator(task_id="job", config=request, deferrable=False, poll_seconds=0.1)


def starts(server: LocalSageMaker, name: str) -> list[str]:
    """From which round a training job began, each time its container was started."""
    lines = (line for stream in Jobs(server).log_streams("Training", name) for line in stream)
    return [line for line in lines if line.startswith("from round ")]


def test_the_next_generation_of_a_training_resumes(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    same = training(sagemaker_local, "goes-on", rounds=60, fail=30)
    with pytest.raises(AlgorithmError):
        same.execute(context)
    assert same.execute(context)["name"] == "goes-on-g1"
    assert starts(sagemaker_local, "goes-on-g1") == ["from round 30"]


def test_a_corrected_training_does_not_resume_the_mistake(
    sagemaker_local: LocalSageMaker, context: dict[str, Any]
) -> None:
    with pytest.raises(AlgorithmError):
        training(sagemaker_local, "mistake", rounds=60, fail=30).execute(context)
    assert training(sagemaker_local, "mistake", rounds=20, fail=0).execute(context)["name"] == "mistake-g1"
    assert starts(sagemaker_local, "mistake-g1") == ["from round 0"]


def spot_job(secondary: str, hours_ago: float = 0, spot: bool = True) -> dict[str, Any]:
    return {
        "TrainingJobStatus": "Stopped",
        "SecondaryStatus": secondary,
        "EnableManagedSpotTraining": spot,
        "CreationTime": datetime.now(UTC) - timedelta(hours=hours_ago),
    }


@pytest.mark.parametrize(
    ("after", "hours", "earlier", "leaves"),
    [
        (1, None, [], False),
        (1, None, [spot_job("MaxWaitTimeExceeded")], True),
        (2, None, [spot_job("MaxWaitTimeExceeded")], False),
        (2, None, [spot_job("MaxWaitTimeExceeded")] * 2, True),
        (1, None, [spot_job("MaxRuntimeExceeded")], False),
        (1, None, [spot_job("Stopped")], False),
        (None, None, [spot_job("MaxWaitTimeExceeded")] * 9, False),
        (None, 5, [spot_job("MaxWaitTimeExceeded", hours_ago=4)], False),
        (None, 5, [spot_job("MaxWaitTimeExceeded", hours_ago=6)], True),
        (2, 5, [spot_job("MaxWaitTimeExceeded", hours_ago=6)], True),
    ],
)
def test_when_spot_is_left(after: int | None, hours: float | None, earlier: list[Any], leaves: bool) -> None:
    training = ResumableTrainingOperator(task_id="train", config={}, on_demand_after=after, on_demand_after_hours=hours)
    assert training.leaves_spot(earlier) is leaves
    request = {
        "TrainingJobName": "t",
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 2},
        "CheckpointConfig": {"S3Uri": "s3://b/run/"},
    }
    attempt = training.attempt(request, len(earlier), 0, earlier)
    assert ("EnableManagedSpotTraining" in attempt) is ("MaxWaitTimeInSeconds" in attempt["StoppingCondition"])
    assert ("EnableManagedSpotTraining" in attempt) is not leaves
    first = training.attempt(request, 0, 0, [])
    assert attempt["CheckpointConfig"] == first["CheckpointConfig"]  # a retry resumes


class TaskInstance:
    """What on_kill asks of Airflow: the state the task is in, and how many tries are left."""

    dag_id, task_id, run_id, map_index = "d", "job", "r", -1

    def __init__(self, state: str | None, try_number: int = 1, max_tries: int = 2) -> None:
        self.state = state
        self.try_number = try_number
        self.max_tries = max_tries

    def xcom_push(self, key: str, value: Any) -> None:
        """Links; nobody looks."""

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        if self.state == "unreachable":
            raise ConnectionError("the supervisor is gone")
        return {self.run_id: {self.task_id: self.state}} if self.state else {}


@pytest.mark.parametrize(
    ("task_instance", "again"),
    [
        (TaskInstance("running"), True),  # a worker that is drained
        (TaskInstance("unreachable"), True),
        (TaskInstance("up_for_retry"), True),  # a worker that was silent for too long
        (TaskInstance("queued"), True),
        (TaskInstance("deferred"), True),
        (TaskInstance("running", try_number=3), False),  # nobody is left to attach
        (TaskInstance("failed"), False),
        (TaskInstance("success"), False),
        (TaskInstance("restarting"), False),  # cleared while running
        (TaskInstance(None), False),  # the run was deleted
    ],
)
def test_which_kill_stops_the_job(sagemaker_local: LocalSageMaker, task_instance: TaskInstance, again: bool) -> None:
    killed = operator(config(sagemaker_local, "x", ""))
    killed._task_instance = task_instance
    assert killed.will_be_retried() is again


@pytest.mark.usefixtures("as_dag_role")
def test_execution_timeout_stops_the_job_although_a_try_is_left(
    sagemaker_local: LocalSageMaker, context: dict[str, Any]
) -> None:
    request = config(sagemaker_local, "timed-out", "import time; time.sleep(600)")
    sagemaker_local.client("sagemaker").create_processing_job(**request)
    killed = operator(request)
    killed._job, killed._task_instance = "timed-out", TaskInstance("running")
    killed.on_kill()

    def status() -> str:
        job = sagemaker_local.client("sagemaker").describe_processing_job(ProcessingJobName="timed-out")
        return str(job["ProcessingJobStatus"])

    assert status() == "InProgress"
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:
        killed.on_kill()
    assert status() in {"Stopping", "Stopped"}


def test_a_deferral_that_times_out_stops_the_job(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    request = config(sagemaker_local, "deferral-out", "import time; time.sleep(600)")
    waiting = operator(request, deferrable=True)
    with pytest.raises(TaskDeferred):
        waiting.execute(context)
    with pytest.raises(TaskDeferralTimeout):
        waiting.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    job = sagemaker_local.client("sagemaker").describe_processing_job(ProcessingJobName="deferral-out")
    assert job["ProcessingJobStatus"] in {"Stopping", "Stopped"}


def test_a_refusal_is_an_error_the_retry_policy_knows(sagemaker_local: LocalSageMaker, context: dict[str, Any]) -> None:
    request = config(sagemaker_local, "refused", "")
    request["RoleArn"] = "arn:aws:iam::999999999999:role/theirs"
    with pytest.raises(JobClientError, match="ValidationException: RoleArn: Cross-account pass role is not allowed"):
        operator(request).execute(context)


@pytest.mark.aws_fact("training-role-seconds-old")
def test_a_role_that_was_just_made_is_waited_for(
    sagemaker_local: LocalSageMaker, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = sagemaker_local.client("iam")
    request = config(sagemaker_local, "new-role", "")
    request["RoleArn"] = "arn:aws:iam::123456789012:role/made-seconds-ago"
    trust = iam.get_role(RoleName=sagemaker_local.role_arn.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    refusals = []

    def made_after_a_refusal(seconds: float) -> None:
        if not refusals:
            iam.create_role(RoleName="made-seconds-ago", AssumeRolePolicyDocument=json.dumps(trust))
        refusals.append(seconds)

    monkeypatch.setattr("sagemaker_retraining.hooks.time.sleep", made_after_a_refusal)
    assert operator(request).execute(context)["status"] == "Completed"
    assert len(refusals) == 1


@pytest.mark.aws_fact("training-role-path")
def test_a_role_that_is_not_there_in_time_fails_with_advice(
    sagemaker_local: LocalSageMaker, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagemaker_retraining.hooks.ROLE_SECONDS", 0)
    request = config(sagemaker_local, "no-role", "")
    request["RoleArn"] = "arn:aws:iam::123456789012:role/nobody"
    with pytest.raises(JobClientError, match=r"Could not assume role .*role_arn.*execution-role.trust.json"):
        operator(request).execute(context)


@pytest.fixture
def quotas(sagemaker_local: LocalSageMaker) -> Iterator[Callable[[dict[str, int]], None]]:
    def put(quotas: dict[str, int]) -> None:
        url = f"{sagemaker_local.url}/_local/quotas"
        httpx.put(url, json={"quotas": quotas}, trust_env=False).raise_for_status()

    yield put
    put({})


@pytest.mark.parametrize(
    ("kind", "what_to_do"),
    [("training", "train.spot.on_demand_after: never"), ("spot training", "train.spot.enabled: false")],
)
@pytest.mark.aws_fact("training-quota-zero")
@pytest.mark.aws_fact("training-spot-quota-apart")
def test_a_quota_of_nothing_fails_at_once(
    sagemaker_local: LocalSageMaker, quotas: Callable[[dict[str, int]], None], kind: str, what_to_do: str
) -> None:
    """Spot and on demand have quotas of their own, and no waiting nor leaving Spot helps against a 0."""
    quotas({f"ml.m5.large for {kind} job usage": 0})
    name = f"no-{kind.replace(' ', '-')}"
    request = Jobs(sagemaker_local).training_request(name, "", **Jobs(sagemaker_local).spot(name))
    training = ResumableTrainingOperator(task_id="job", config=request, deferrable=False, poll_seconds=0.1)
    if kind == "training":
        training.leaves_spot = lambda earlier: True  # type: ignore[method-assign] # Spot has had its chance
    with pytest.raises(QuotaTooSmall, match=f"for {kind} job usage' is 0 Instances.*{what_to_do}"):
        training.execute({"task_state_store": StateStore()})
    assert described_or_none(lambda: training.sagemaker.describe_job(training.kind, name)) is None


@pytest.mark.aws_fact("training-quota-refused")
def test_a_quota_that_is_used_up_is_worth_another_try(
    sagemaker_local: LocalSageMaker, context: dict[str, Any], quotas: Callable[[dict[str, int]], None]
) -> None:
    blocking = config(sagemaker_local, "uses-it-up", "import time; time.sleep(600)")
    blocking["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.c5.xlarge"
    api = sagemaker_local.client("sagemaker")
    api.create_processing_job(**blocking)
    quotas({"ml.c5.xlarge for processing job usage": 1})
    request = config(sagemaker_local, "comes-later", "")
    request["ProcessingResources"]["ClusterConfig"]["InstanceType"] = "ml.c5.xlarge"
    with pytest.raises(CapacityError, match="current utilization of 1 Instances"):
        operator(request).execute(context)
    api.stop_processing_job(ProcessingJobName="uses-it-up")
    Jobs(sagemaker_local).end_of_processing("uses-it-up")
    assert operator(request).execute(context)["status"] == "Completed"


@pytest.mark.aws_fact("describe-waits-for-capacity")
def test_the_log_says_what_a_job_without_capacity_waits_for(
    sagemaker_local: LocalSageMaker, context: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = Jobs(sagemaker_local)
    jobs.spot_settings({"rules": [{"job": "dry", "no_capacity": True}]})
    request = jobs.training_request("dry", "", **jobs.spot("dry", longest=2))
    training = ResumableTrainingOperator(task_id="job", config=request, deferrable=False, poll_seconds=0.1)
    try:
        with pytest.raises(SpotTimeout):
            training.execute(context)
    finally:
        jobs.spot_settings(DEFAULT)
    said = "dry: Starting: Insufficient capacity error from EC2 while launching instances, retrying!"
    assert capsys.readouterr().out.count(said) == 1


@pytest.mark.parametrize(("name", "generation"), [("a-b", 0), ("a-g1", 1), ("a-g12", 12), ("a-g", 0), ("a-gx1", 0)])
def test_generation_of(name: str, generation: int) -> None:
    assert generation_of(name) == generation


def test_first_difference_ignores_what_describe_adds() -> None:
    assert first_difference({"A": 1, "Tags": []}, {"A": 1, "B": 2}) is None
    assert first_difference({"A": {"B": [1, 2]}}, {"A": {"B": [1, 3]}}) == "A.B[1]"
    assert first_difference({"A": [1]}, {"A": [1, 2]}) == "A"
