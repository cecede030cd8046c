"""Deployment on the local SageMaker: whatever is wrong, what served before serves on, and a retry goes on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.exceptions import AirflowException
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError

from sagemaker_retraining.endpoints.alarms import prepare_alarms
from sagemaker_retraining.endpoints.failure import not_wanted
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.operators.cleanup import CleanUpOperator
from sagemaker_retraining.operators.transform import ResumableTransformOperator
from sagemaker_retraining.requests.alarms import on_new_fleet
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import wait_for
from tests.kits.serving_kit import Serving, resumed, short_name

pytestmark = pytest.mark.usefixtures("aws_connection")
CANARY = "rollout: {strategy: canary, percent: 50, wait_seconds: 60, termination_wait_seconds: 0}, instance_count: 2"


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


@pytest.mark.usefixtures("as_dag_role")
def test_create_update_and_nothing_twice(serving: Serving) -> None:
    first, second = serving.version(1), serving.version(2)
    created, again, updated = serving.deploy(first), serving.deploy(first), serving.deploy(second)
    assert (created["status"], created["previous_endpoint_config"]) == ("InService", None)
    assert (created["variant"], created["shadow"]) == ("AllTraffic", False)
    assert again["endpoint_config"] == created["endpoint_config"]
    assert updated["previous_endpoint_config"] == created["endpoint_config"]
    assert serving.answer("3") == 6.0
    assert len(serving.configs()) == 2
    assert serving.served_version() == second


def test_capture_and_tags_survive_updates(serving: Serving) -> None:
    arns = [serving.version(number) for number in (1, 2)]
    for index, arn in enumerate(arns):
        serving.deploy(arn, serving.plan(run_id=f"run {index}"))
    endpoint = serving.endpoint()
    capture = endpoint["DataCaptureConfig"]
    assert (capture["EnableCapture"], capture["CaptureStatus"]) == (True, "Started")
    assert capture["CurrentSamplingPercentage"] == 20
    assert RetrainingHook().tags(endpoint["EndpointArn"])["run_id"] == "run 1"


@pytest.mark.aws_fact("endpoint-rollback-without-reason")
def test_a_version_that_does_not_load_leaves_the_old_one_serving(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    with pytest.raises(AirflowFailException, match=r"did not pass the ping health check.*serves on"):
        serving.deploy(serving.version(2, broken=True))
    endpoint = serving.endpoint()
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", before["endpoint_config"])
    assert serving.answer() == 2.0
    assert serving.deploy(serving.version(3))["status"] == "InService"


def test_a_first_version_that_does_not_load(serving: Serving) -> None:
    arn = serving.version(1, broken=True)
    for _ in range(2):  # a retry says the same, it does not wait for what never comes
        with pytest.raises(AirflowFailException, match=r"is Failed: .* never served.*delete-endpoint"):
            serving.deploy(arn)


def test_an_unknown_or_undecided_version(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    pending = serving.version(2, approved=False)
    with pytest.raises(AirflowFailException, match=r"there is no version .*/7 in the registry"):
        serving.deploy(pending.replace("/2", "/7"))
    with pytest.raises(AirflowFailException, match="only an Approved version"):
        serving.deploy(pending)
    assert serving.configs() == [before["endpoint_config"]]


def test_an_endpoint_of_another_model(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    arn = serving.endpoint()["EndpointArn"]
    serving.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "model", "Value": "churn"}])
    with pytest.raises(AirflowFailException, match=r"belongs to another: .*model=churn, this run's model=demo_model"):
        serving.deploy(serving.version(2))
    assert serving.configs() == [before["endpoint_config"]]
    assert RetrainingHook().tags(arn)["model"] == "churn"


def test_a_capture_bucket_that_is_not_there(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    serving.use_bucket("no-such-bucket")
    with pytest.raises(AirflowFailException, match="there is no bucket no-such-bucket"):
        serving.deploy(serving.version(2))
    assert serving.configs() == [before["endpoint_config"]]


def test_a_retry_after_a_partial_step_goes_on(serving: Serving) -> None:
    serving.deploy(serving.version(1))
    plan, arn = serving.plan(), serving.version(2)
    operator = serving.deploy_operator(arn, plan)
    requests = operator.requests(serving.endpoint())
    operator.create_missing(requests)  # and then the worker died
    assert serving.deploy(arn)["status"] == "InService"


def test_a_retry_attaches_to_its_own_update(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    operator = serving.deploy_operator(serving.version(2, load_seconds=2), serving.plan())
    for _ in range(2):  # the second is the retry of a worker that died while the update ran
        with pytest.raises(TaskDeferred) as deferral:
            operator.execute(serving.context())
        assert deferral.value.kwargs is not None
        assert deferral.value.kwargs["start_over"] is False
    result = resumed(operator, deferral.value, serving.context())
    assert result["previous_endpoint_config"] == before["endpoint_config"]
    # The XCom got lost, and the next try finds it in service: what served before is not forgotten.
    assert operator.execute(serving.context()) == result


def test_another_update_under_way_is_waited_for(serving: Serving) -> None:
    serving.deploy(serving.version(1))
    other = serving.deploy_operator(serving.version(2, load_seconds=1), serving.plan())
    with pytest.raises(TaskDeferred):
        other.execute(serving.context())
    result = serving.deploy(serving.version(3))
    assert serving.answer() == 6.0
    assert result["status"] == "InService"


def test_an_endpoint_that_is_being_deleted_is_made_again(serving: Serving) -> None:
    arn = serving.version(1)
    serving.deploy(arn)
    serving.sagemaker.delete_endpoint(EndpointName=serving.name)
    assert serving.deploy(arn)["status"] == "InService"


def test_a_change_whose_answer_is_lost_is_not_made_twice(serving: Serving) -> None:
    lose_answers(serving.server, "CreateModel", "CreateEndpointConfig", "CreateEndpoint")
    created = serving.deploy(serving.version(1))
    lose_answers(serving.server, "UpdateEndpoint")
    updated = serving.deploy(serving.version(2))
    assert updated["previous_endpoint_config"] == created["endpoint_config"] != updated["endpoint_config"]
    assert len(serving.configs()) == 2


@pytest.mark.usefixtures("as_dag_role")
@pytest.mark.aws_fact("alarm-dimensions")
def test_alarms_are_made_once_and_watched(serving: Serving) -> None:
    plan = serving.plan(
        f"alarms: [{{metric: error_rate, above: 0.05}}, {{metric: latency_p99_ms, above: 500}}], {CANARY}"
    )
    serving.deploy(serving.version(1), plan)
    cloudwatch = serving.server.client("cloudwatch")
    with pytest.raises(TaskDeferred) as deferral:
        serving.deploy_operator(serving.version(2), plan).execute(serving.context())
    assert deferral.value.kwargs is not None
    wanted = deferral.value.kwargs["target"]["endpoint_config"]
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=f"{serving.name}-")["MetricAlarms"]
    watched = on_new_fleet(plan["deploy"], wanted)["deployment"]["AutoRollbackConfiguration"]["Alarms"]
    assert sorted(alarm["AlarmName"] for alarm in alarms) == sorted(alarm["AlarmName"] for alarm in watched)
    [latency] = [alarm for alarm in alarms if alarm["MetricName"] == "ModelLatency"]
    assert latency["Threshold"] == 500_000  # microseconds
    assert latency["Dimensions"] == [
        {"Name": "EndpointName", "Value": serving.name},
        {"Name": "VariantName", "Value": "AllTraffic"},
        {"Name": "EndpointConfigName", "Value": wanted},
    ], "the new fleet alone: errors of the old one must not send the new one back"


def test_an_alarm_that_is_on_or_missing_stops_before_anything_is_made(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    arn = serving.version(2)
    with pytest.raises(AirflowFailException, match="there is no pager-duty"):
        serving.deploy(arn, serving.plan(f"alarms: [{{name: pager-duty}}], {CANARY}"))
    name = f"{serving.name}-orders-lost"
    cloudwatch = serving.server.client("cloudwatch")
    # Of the business, not of the endpoint: nobody but the test changes its state.
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Shop",
        MetricName="OrdersLost",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    plan = serving.plan(f"alarms: [{{name: {name}}}], {CANARY}")
    with pytest.raises(AirflowException, match=f"{name}: in ALARM before the update"):
        serving.deploy(arn, plan)
    assert serving.configs() == [before["endpoint_config"]]


@pytest.mark.usefixtures("as_dag_role")
def test_autoscaling_keeps_its_instances_and_loses_no_capture(serving: Serving) -> None:
    # One request a minute wants more than the most. The autoscaler's own change begins a cooldown of five minutes, in
    # which it leaves the number alone; a number set by hand it would soon bring down to what no requests need.
    scaling = "autoscaling: {max_instances: 3, invocations_per_instance: 0.1}"
    client = serving.server.client("application-autoscaling")

    def targets() -> list[str]:
        found = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        return [item["ResourceId"] for item in found if serving.name in item["ResourceId"]]

    def instances() -> int:
        return int(serving.endpoint()["ProductionVariants"][0]["DesiredInstanceCount"])

    versions = [serving.version(number) for number in (1, 2)]
    serving.deploy(versions[0], serving.plan(scaling))
    assert targets() == [f"endpoint/{serving.name}/variant/AllTraffic"]
    serving.answer()
    wait_for(lambda: instances() == 3, "three instances")
    serving.deploy(versions[1], serving.plan(f"{scaling}, data_capture: {{sampling_percentage: 50}}"))
    assert (instances(), len(targets())) == (3, 1)
    assert serving.endpoint()["DataCaptureConfig"]["CurrentSamplingPercentage"] == 50
    serving.deploy(versions[1], serving.plan(f"{scaling}, instance_type: ml.m5.xlarge"))
    assert (instances(), len(targets())) == (1, 1)
    serving.deploy(versions[1], serving.plan())
    assert targets() == []


def test_a_challenger_answers_its_share(serving: Serving) -> None:
    challenger = serving.plan("challenger: {as: variant, percent: 20}")
    first = serving.deploy(serving.version(1), challenger)
    assert first["variant"] == "AllTraffic"  # nobody serves yet: it gets everything
    second = serving.deploy(serving.version(2), challenger)
    assert second["variant"] == "Challenger"
    weights = {item["VariantName"]: item["CurrentWeight"] for item in serving.endpoint()["ProductionVariants"]}
    assert weights == pytest.approx({"AllTraffic": 0.8, "Challenger": 0.2})
    assert [serving.answer(TargetVariant=name) for name in ("AllTraffic", "Challenger")] == [2.0, 4.0]
    assert serving.verify(2, second)["max_difference"] == 0
    serving.deploy(serving.version(3), challenger)  # beside the same champion
    assert [serving.answer(TargetVariant=name) for name in ("AllTraffic", "Challenger")] == [2.0, 6.0]
    assert serving.deploy(serving.version(4))["variant"] == "AllTraffic"
    assert serving.answer() == 8.0


def test_verify_compares_and_measures(serving: Serving) -> None:
    result = serving.verify(1, serving.deploy(serving.version(1)))
    assert (result["requests"], result["max_difference"]) == (3, 0.0)
    assert 0 < result["p50_ms"] <= result["p90_ms"] <= result["p99_ms"]


@pytest.mark.usefixtures("as_dag_role")
def test_verify_puts_the_previous_version_back(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    after = serving.deploy(serving.version(2, factor=2.5))  # not what its sample says
    expected = r"3 of 3 answers .* 1: offline 2.0, endpoint 2.5; .*serves again"
    with pytest.raises(AirflowFailException, match=expected):
        serving.verify(2, after)
    assert serving.endpoint()["EndpointConfigName"] == before["endpoint_config"]
    assert serving.answer() == 2.0
    with pytest.raises(AirflowFailException, match="Clear deploy"):
        serving.verify(2, after)


def test_verify_may_keep_what_differs(serving: Serving) -> None:
    serving.deploy(serving.version(1))
    after = serving.deploy(serving.version(2, factor=2.5))
    with pytest.raises(AirflowFailException, match=r"It serves on, as verify.on_failure says"):
        serving.verify(2, after, serving.plan(verify="on_failure: keep"))
    assert serving.endpoint()["EndpointConfigName"] == after["endpoint_config"]


def test_verify_of_a_first_version_has_nothing_to_put_back(serving: Serving) -> None:
    only = serving.deploy(serving.version(1, factor=7))
    with pytest.raises(AirflowFailException, match="no config before it"):
        serving.verify(1, only)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"content_type": "text/csv", "body": "-1", "prediction": 1.0}', "the model fails: .*500"),
        ('{"content_type": "text/csv", "body": "-2", "prediction": 1.0}', "the model fails"),
        ('{"content_type": "text/csv", "body": "1,2", "prediction": 1.0}', "b'2.0,4.0', which is no number"),
        ('{"content_type": "text/csv", "body": "nan", "prediction": 1.0}', "endpoint nan"),
    ],
    ids=["error", "crash", "garbage", "nan"],
)
def test_a_model_that_fails_is_taken_back(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, row: str, message: str
) -> None:
    monkeypatch.setattr("sagemaker_retraining.endpoints.invocation.PATIENCE_SECONDS", 3)
    before = serving.deploy(serving.version(1))
    after = serving.deploy(serving.version(2))
    key = f"serving/{serving.name}/2/sample.jsonl"
    serving.s3.put_object(Bucket=serving.server.bucket, Key=key, Body=row.encode())
    with pytest.raises(AirflowFailException, match=f"{message}.*serves again"):
        serving.verify(2, after)
    assert serving.endpoint()["EndpointConfigName"] == before["endpoint_config"]
    assert serving.answer() == 2.0


@pytest.mark.parametrize(("rows", "message"), [("", "sample is empty"), ("large", "InvokeEndpoint takes 6291456")])
def test_a_sample_that_verifies_nothing_changes_nothing(serving: Serving, rows: str, message: str) -> None:
    deployed = serving.deploy(serving.version(1))
    body = f'{{"content_type": "text/csv", "body": "{"1" * 6_291_457}", "prediction": 1}}' if rows else ""
    key = f"serving/{serving.name}/1/sample.jsonl"
    serving.s3.put_object(Bucket=serving.server.bucket, Key=key, Body=body.encode())
    with pytest.raises(AirflowFailException, match=message):
        serving.verify(1, deployed)
    assert serving.endpoint()["EndpointConfigName"] == deployed["endpoint_config"]


@pytest.mark.usefixtures("as_dag_role")
@pytest.mark.aws_fact("endpoint-config-in-use-deleted")
def test_the_clean_up_keeps_what_is_used(serving: Serving) -> None:
    plan = serving.plan("keep: 1")
    deployed = [serving.deploy(serving.version(number), plan) for number in (1, 2, 3)]
    oldest, _, newest = (item["endpoint_config"] for item in deployed)
    other = f"{serving.name}-other"
    serving.sagemaker.create_endpoint(EndpointName=other, EndpointConfigName=oldest)
    hand_made = f"{serving.name}-0123456789"
    serving.sagemaker.create_endpoint_config(
        EndpointConfigName=hand_made,
        ProductionVariants=serving.sagemaker.describe_endpoint_config(EndpointConfigName=newest)["ProductionVariants"],
    )
    result = CleanUpOperator(task_id="cleanup", config=plan["cleanup"]).execute({})
    assert serving.configs() == sorted([oldest, newest, hand_made])
    assert result["models"] == [deployed[1]["model"]]
    assert CleanUpOperator(task_id="cleanup", config=plan["cleanup"]).execute({})["configs"] == []
    assert serving.answer() == 6.0


def test_the_clean_up_keeps_models_of_configs_that_others_made(serving: Serving) -> None:
    plan = serving.plan("keep: 1")
    deployed = [serving.deploy(serving.version(number), plan) for number in (1, 2)]
    theirs = f"{serving.name}-theirs"
    variants = serving.sagemaker.describe_endpoint_config(EndpointConfigName=deployed[0]["endpoint_config"])[
        "ProductionVariants"
    ]
    serving.sagemaker.create_endpoint_config(EndpointConfigName=theirs, ProductionVariants=variants)
    serving.sagemaker.create_endpoint(EndpointName=theirs, EndpointConfigName=theirs)
    result = CleanUpOperator(task_id="cleanup", config=plan["cleanup"]).execute({})
    assert (result["configs"], result["models"]) == ([deployed[0]["endpoint_config"]], [])
    assert serving.sagemaker.describe_model(ModelName=deployed[0]["model"])


def test_the_clean_up_asks_again_before_it_deletes(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = serving.plan("keep: 1")
    first = serving.deploy(serving.version(1), plan)
    serving.deploy(serving.version(2), plan)
    operator = CleanUpOperator(task_id="cleanup", config=plan["cleanup"])
    look = operator.configs_in_use

    def before_a_rollback() -> set[str]:
        used = look()
        serving.sagemaker.update_endpoint(EndpointName=serving.name, EndpointConfigName=first["endpoint_config"])
        return used

    monkeypatch.setattr(operator, "configs_in_use", before_a_rollback)
    assert operator.execute({})["configs"] == []
    wait_for(lambda: serving.endpoint()["EndpointStatus"] == "InService", "the rollback")
    assert first["endpoint_config"] in serving.configs()


@pytest.mark.usefixtures("as_dag_role")
def test_the_clean_up_ends_alarms_of_earlier_roll_outs(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    cloudwatch = serving.server.client("cloudwatch")
    old = serving.plan(f"alarms: [{{metric: error_rate, above: 0.5}}], {CANARY}")["deploy"]["alarms"][0]
    plan = serving.plan(f"alarms: [{{metric: error_rate, above: 0.05}}], {CANARY}")
    by_hand = {**old, "AlarmName": f"{serving.name}-error-rate-of-mine"}
    for alarm in (old, by_hand, *plan["deploy"]["alarms"]):
        cloudwatch.put_metric_alarm(**alarm)
    operator = CleanUpOperator(task_id="cleanup", config=plan["cleanup"])
    assert operator.execute({})["alarms"] == [], "another run may have made them for the update it is about to begin"
    monkeypatch.setattr("sagemaker_retraining.operators.cleanup.NEW", timedelta(0))
    assert operator.execute({})["alarms"] == [old["AlarmName"]]
    left = cloudwatch.describe_alarms(AlarmNamePrefix=serving.name)["MetricAlarms"]
    assert len(left) == 2


def test_the_clean_up_ends_no_alarm_while_a_roll_out_watches_it(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.deploy(serving.version(1))
    other = serving.plan(f"alarms: [{{metric: error_rate, above: 0.5}}], {CANARY}")
    with pytest.raises(TaskDeferred):
        serving.deploy_operator(serving.version(2), other).execute(serving.context())
    monkeypatch.setattr("sagemaker_retraining.operators.cleanup.NEW", timedelta(0))
    mine = serving.plan(f"alarms: [{{metric: error_rate, above: 0.05}}], {CANARY}")["cleanup"]
    assert CleanUpOperator(task_id="cleanup", config=mine).execute({})["alarms"] == []
    assert serving.server.client("cloudwatch").describe_alarms(AlarmNamePrefix=serving.name)["MetricAlarms"]


def test_an_alarm_that_is_used_again_is_new_again(serving: Serving) -> None:
    cloudwatch = serving.server.client("cloudwatch")
    plan = serving.plan(f"alarms: [{{metric: error_rate, above: 0.5}}], {CANARY}")
    [alarm] = plan["deploy"]["alarms"]

    def put() -> Any:
        [found] = cloudwatch.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"]
        return found["AlarmConfigurationUpdatedTimestamp"]

    prepare_alarms(RetrainingHook(), plan["deploy"])
    before = put()
    prepare_alarms(RetrainingHook(), plan["deploy"])
    assert put() > before


def test_nothing_to_score_is_said_before_a_job_is_made(serving: Serving) -> None:
    plan = serving.plan("kind: batch").get("transform")
    operator = ResumableTransformOperator(
        task_id="transform", config=plan, model_package_arn=serving.version(1), poll_seconds=0.1, deferrable=False
    )
    with pytest.raises(AirflowFailException, match="demo_model/scoring/period=2013-11/: there is nothing to score"):
        operator.execute(serving.context())


@pytest.mark.aws_fact("endpoint-quota-refused")
@pytest.mark.aws_fact("endpoint-double-quota")
def test_a_quota_of_nothing_fails_at_once(serving: Serving) -> None:
    """What a new account has; an update with both fleets side by side may need one more than there is."""
    plan, first = serving.plan("instance_type: ml.r5.24xlarge"), serving.version(1)

    def limit(instances: int | None) -> None:
        quotas = {} if instances is None else {"ml.r5.24xlarge for endpoint usage": instances}
        httpx.put(f"{serving.server.url}/_local/quotas", json={"quotas": quotas}, trust_env=False).raise_for_status()

    try:
        limit(0)
        with pytest.raises(AirflowFailException, match=r"is 0 Instances.* Have the limit raised in Service Quotas"):
            serving.deploy(first, plan)
        limit(1)
        serving.deploy(first, plan)
        with pytest.raises(AirflowException, match="both fleets at once") as used_up:
            serving.deploy(serving.version(2), plan)
    finally:
        limit(None)
    assert type(used_up.value) is AirflowException
    assert serving.endpoint()["EndpointStatus"] == "InService"


NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a "
    "different ML instance type or after some time."
)


def test_an_end_that_does_not_pass_says_what_to_do(serving: Serving) -> None:
    description = {"EndpointName": "e", "EndpointStatus": "UpdateRollbackFailed", "EndpointConfigName": "c"}
    error = not_wanted(RetrainingHook(), {**description, "FailureReason": "no instances"}, "w", {})
    assert isinstance(error, AirflowFailException)
    assert "no instances" in str(error)
    assert "rollback DAG" in str(error)
    capacity = {**description, "EndpointStatus": "InService", "FailureReason": NO_CAPACITY}
    assert not isinstance(not_wanted(RetrainingHook(), capacity, "w", {}), AirflowFailException)


def test_what_was_just_made_is_asked_for_again(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """SageMaker reads late; the local one does not, so its first answers are replaced here."""
    monkeypatch.setattr("sagemaker_retraining.hooks.CONSISTENT_PAUSE_SECONDS", 0)
    hook = RetrainingHook()
    late = ['Could not find endpoint configuration "arn:x:endpoint-config/c".', 'Could not find model "arn:x:model/m".']

    class Api:
        def update_endpoint(self, **request: Any) -> dict[str, str]:
            if late:
                raise ClientError({"Error": {"Code": "ValidationException", "Message": late.pop()}}, "UpdateEndpoint")
            return {"EndpointArn": request["EndpointName"]}

    monkeypatch.setattr(RetrainingHook, "api", Api())
    assert hook.begin_update({"EndpointName": "e", "EndpointConfigName": "c"})
    for stays in (
        'Could not find endpoint "arn:x".',
        'Could not find endpoint configuration "arn:x:endpoint-config/old".',
    ):
        late.append(stays)
        with pytest.raises(ClientError):
            hook.begin_update({"EndpointName": "e", "EndpointConfigName": "c"})


def lose_answers(server: LocalSageMaker, *operations: str) -> None:
    """The next call of each operation is carried out and gets no answer."""
    lost = [{"operation": operation, "times": 1} for operation in operations]
    httpx.put(f"{server.url}/_local/faults", json={"lose_answer": lost}, trust_env=False).raise_for_status()
