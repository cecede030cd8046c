"""What happens at an endpoint while a task works on it: another version goes live, a person rolls back, it scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sagemaker_retraining.endpoints.invocation import Invoker, Row
from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.verify import VerifyEndpointOperator
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import wait_for
from tests.kits.serving_kit import Serving, StateStore, finished, resumed, short_name

pytestmark = pytest.mark.usefixtures("as_dag_role")
NEWER = "is newer and serves as AllTraffic of .* trigger the model's rollback DAG with its number"


@pytest.fixture
def serving(sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest) -> Serving:
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


# --- another version goes live ------------------------------------------------------------------------


def test_an_older_month_does_not_replace_a_newer_one(serving: Serving) -> None:
    october, november = serving.version(1), serving.version(2)
    newer = serving.deploy(november)
    with pytest.raises(AirflowFailException, match=NEWER) as refusal:
        serving.deploy(october)  # approved late, tried again, or cleared
    assert "/1 of 2013-02 is not deployed: " in str(refusal.value)
    assert serving.configs() == [newer["endpoint_config"]], "nothing was made"
    assert serving.answer() == 4.0
    assert serving.deploy(october, replace_newer="True")["previous_endpoint_config"] == newer["endpoint_config"]
    assert serving.answer() == 2.0


def test_of_one_month_the_later_version_stays(serving: Serving) -> None:
    first, again = serving.version(1), serving.version(2, period="2013-02")
    serving.deploy(again)
    for replace_newer in (False, True):  # which speaks of later months
        with pytest.raises(AirflowFailException, match=NEWER):
            serving.deploy(first, replace_newer=replace_newer)
    assert serving.answer() == 4.0
    serving.deploy(first, going_back=True)
    assert serving.answer() == 2.0


def test_a_newer_one_that_was_rejected_since_is_replaced(serving: Serving) -> None:
    october, november = serving.version(1), serving.version(2)
    serving.deploy(november)
    serving.sagemaker.update_model_package(ModelPackageArn=november, ModelApprovalStatus="Rejected")
    serving.deploy(october)
    assert serving.answer() == 2.0


def test_a_newer_challenger_is_not_replaced(serving: Serving) -> None:
    versions = [serving.version(number) for number in (1, 2, 3)]
    serving.deploy(versions[0])
    serving.deploy(versions[2], serving.plan("challenger: {as: shadow, percent: 10}"))
    for plan in (serving.plan(), serving.plan("challenger: {as: shadow, percent: 10}")):
        with pytest.raises(AirflowFailException, match="is newer and serves as Challenger"):
            serving.deploy(versions[1], plan)
    assert "ShadowProductionVariants" in serving.endpoint()


def test_a_newer_one_on_its_way_is_waited_for_and_stays(serving: Serving) -> None:
    versions = [serving.version(1), serving.version(2), serving.version(3, load_seconds=1)]
    serving.deploy(versions[0])
    with pytest.raises(TaskDeferred):
        serving.deploy_operator(versions[2], serving.plan()).execute(serving.context())
    with pytest.raises(AirflowFailException, match=NEWER):
        serving.deploy(versions[1])
    assert serving.answer() == 6.0


@pytest.mark.parametrize("what", ["newer", "rejected"])
def test_the_last_look_stands_right_before_the_update(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    versions = [serving.version(number) for number in (1, 2, 3)]
    serving.deploy(versions[0])
    newest = serving.deploy_operator(versions[2], serving.plan())
    make = DeployEndpointOperator.create_missing

    def meanwhile(operator: DeployEndpointOperator, requests: dict[str, dict[str, Any]]) -> None:
        make(operator, requests)
        monkeypatch.setattr(DeployEndpointOperator, "create_missing", make)
        if what == "newer":
            finished(newest, {**serving.context(), "task_state_store": StateStore()})
        else:
            serving.sagemaker.update_model_package(ModelPackageArn=versions[1], ModelApprovalStatus="Rejected")

    monkeypatch.setattr(DeployEndpointOperator, "create_missing", meanwhile)
    with pytest.raises(AirflowFailException, match=NEWER if what == "newer" else "only an Approved version"):
        serving.deploy(versions[1])
    assert serving.answer() == (6.0 if what == "newer" else 2.0)


def test_a_retry_does_not_deploy_again_what_a_person_has_taken_back(serving: Serving) -> None:
    first = serving.deploy(serving.version(1))
    arn = serving.version(2)
    operator = serving.deploy_operator(arn, serving.plan())
    with pytest.raises(TaskDeferred):
        operator.execute(serving.context())  # and then its worker or triggerer died
    wait_for(lambda: serving.endpoint()["EndpointStatus"] == "InService", "the update")
    serving.sagemaker.update_endpoint(EndpointName=serving.name, EndpointConfigName=first["endpoint_config"])
    wait_for(lambda: serving.endpoint()["EndpointStatus"] == "InService", "the rollback")
    with pytest.raises(
        AirflowFailException, match=rf"is InService on {first['endpoint_config']}, wanted .* clear this"
    ):
        operator.execute(serving.context())
    assert serving.answer() == 2.0
    serving.max_tries = 4  # somebody cleared it
    assert finished(operator, serving.context())["previous_endpoint_config"] == first["endpoint_config"]
    assert serving.answer() == 4.0


# --- a person rolls back while verify asks ------------------------------------------------------------


def after_the_first_answer(operator: VerifyEndpointOperator, then: Any) -> VerifyEndpointOperator:
    """The task, and what somebody else does while it is asking."""
    ask, done = operator.invoker(), []

    def invoke(row: Row) -> bytes:
        answer = ask(row)
        if not done:
            done.append(then())
        return answer

    operator.invoker = lambda: invoke  # type: ignore[method-assign, assignment, return-value]
    assert isinstance(ask, Invoker)
    return operator


@pytest.mark.parametrize("ended", [True, False])
def test_verify_leaves_what_a_person_has_put_there(serving: Serving, ended: bool) -> None:
    oldest = serving.version(1, load_seconds=0 if ended else 3)
    first = serving.deploy(oldest)
    serving.deploy(serving.version(2))
    bad = serving.deploy(serving.version(3, factor=2.5))

    def roll_back() -> None:
        serving.sagemaker.update_endpoint(EndpointName=serving.name, EndpointConfigName=first["endpoint_config"])
        if ended:
            wait_for(lambda: serving.endpoint()["EndpointStatus"] == "InService", "the rollback")

    operator = after_the_first_answer(serving.verify_operator(3, bad), roll_back)
    message = "Somebody has changed the endpoint since" if ended else f"what comes is {first['endpoint_config']}, by"
    with pytest.raises(AirflowFailException, match=message):
        finished(operator, serving.context())
    wait_for(lambda: serving.endpoint()["EndpointStatus"] == "InService", "the rollback")
    assert serving.endpoint()["EndpointConfigName"] == first["endpoint_config"]
    assert serving.answer() == 2.0


def test_verify_cannot_go_back_to_a_config_that_is_gone(serving: Serving) -> None:
    before = serving.deploy(serving.version(1))
    bad = serving.deploy(serving.version(2, factor=2.5))
    serving.sagemaker.delete_endpoint_config(EndpointConfigName=before["endpoint_config"])
    with pytest.raises(AirflowFailException, match=r"It serves on: .* has been deleted. Trigger the model's rollback"):
        serving.verify(2, bad)


# --- autoscaling --------------------------------------------------------------------------------------

# One request a minute wants more than the most.
SCALING = "autoscaling: {max_instances: 3, invocations_per_instance: 0.1}"


def scaling(serving: Serving) -> dict[str, Any]:
    """The description of the endpoint while it scales, which a request has begun."""
    serving.answer()

    def begun() -> dict[str, Any] | None:
        found = serving.endpoint()
        return found if found["EndpointStatus"] == "Updating" else None

    found: dict[str, Any] = wait_for(begun, "the endpoint to scale")
    assert "PendingDeploymentSummary" not in found
    return found


def test_an_endpoint_that_scales_is_verified_and_goes_back(serving: Serving) -> None:
    plan = serving.plan(SCALING)
    before = serving.deploy(serving.version(1), plan)
    bad = serving.deploy(serving.version(2, factor=2.5), plan)
    scaling(serving)
    with pytest.raises(AirflowFailException, match=r"3 of 3 answers .*serves again"):
        serving.verify(2, bad)
    assert serving.endpoint()["EndpointConfigName"] == before["endpoint_config"]
    assert serving.answer() == 2.0


def test_deploy_waits_for_its_own_config_that_scales(serving: Serving) -> None:
    plan = serving.plan(SCALING)
    serving.deploy(serving.version(1), plan)
    arn = serving.version(2)
    operator = serving.deploy_operator(arn, plan)
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(serving.context())
    wait_for(lambda: serving.endpoint()["EndpointStatus"] == "InService", "the update")
    scaling(serving)
    # The trigger has seen the endpoint rest; when a worker takes the task, it scales.
    kwargs = deferral.value.kwargs or {}
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(serving.context(), event={"status": "InService"}, **kwargs)
    result = resumed(operator, again.value, serving.context())
    assert (result["status"], serving.answer()) == ("InService", 4.0)


def test_a_retry_of_deploy_that_meets_scaling_does_not_undo_a_rollback(serving: Serving) -> None:
    plan = serving.plan(SCALING)
    first = serving.deploy(serving.version(1), plan)
    arn = serving.version(2)
    serving.deploy(arn, plan)
    scaling(serving)
    operator = serving.deploy_operator(arn, plan)
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(serving.context())
    wait_for(lambda: serving.endpoint()["EndpointStatus"] == "InService", "the end of the scaling")
    serving.sagemaker.update_endpoint(EndpointName=serving.name, EndpointConfigName=first["endpoint_config"])
    with pytest.raises(AirflowFailException, match=rf"is InService on {first['endpoint_config']}, wanted "):
        resumed(operator, deferral.value, serving.context())
    assert serving.answer() == 2.0


def test_an_undone_update_leaves_autoscaling_as_it_was(serving: Serving) -> None:
    plan = serving.plan(
        "instance_count: 2, autoscaling: {min_instances: 2, max_instances: 5, invocations_per_instance: 100}"
    )
    serving.deploy(serving.version(1), plan)
    before = registered(serving)
    assert [item.get("MaxCapacity") for item in before] == [5, None]
    other = serving.plan("instance_type: ml.m5.xlarge, autoscaling: {max_instances: 3, invocations_per_instance: 7}")
    with pytest.raises(AirflowFailException, match="did not pass the ping"):
        serving.deploy(serving.version(2, broken=True), other)
    assert registered(serving) == before, "SageMaker has undone it"
    third = serving.deploy(serving.version(3, factor=9), other)
    assert registered(serving) != before
    with pytest.raises(AirflowFailException, match="serves again"):
        serving.verify(3, third, other)
    assert registered(serving) == before, "verify has undone it"
    without = serving.deploy(serving.version(4, factor=9))
    assert registered(serving) == []
    with pytest.raises(AirflowFailException, match="serves again"):
        serving.verify(4, without)
    assert registered(serving) == before, "the plan that was undone had none"


def registered(serving: Serving) -> list[dict[str, Any]]:
    """Target and policies of the endpoint, without what is new each time."""
    client = serving.server.client("application-autoscaling")
    resource = f"endpoint/{serving.name}/variant/AllTraffic"
    targets = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])["ScalableTargets"]
    if not targets:
        return []  # on AWS its policies go with it; moto keeps them
    policies = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)["ScalingPolicies"]
    new = {"CreationTime", "PolicyARN", "ScalableTargetARN", "Alarms", "RoleARN", "SuspendedState"}
    return [{key: value for key, value in item.items() if key not in new} for item in (*targets, *policies)]
