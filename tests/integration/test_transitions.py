"""Rollback and promotion against the local SageMaker: what the form asks for happens, or nothing does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sagemaker_retraining.operators.verify import VerifyEndpointOperator
from sagemaker_retraining.requests.approval import status_changes as decisions
from sagemaker_retraining.tasks import promotion, rollback
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import wait_for
from tests.kits.serving_kit import ENVIRONMENT, Serving, finished, short_name

pytestmark = pytest.mark.usefixtures("aws_connection")
CANARY = "rollout: {strategy: canary, wait_seconds: 60}, alarms: [{metric: error_rate, above: 0.05}]"


@pytest.fixture
def serving(
    sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Serving:
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


def served(serving: Serving, *numbers: int) -> list[str]:
    """ARNs of these versions, each deployed and verified in turn."""
    arns = []
    for number in numbers:
        arns.append(serving.version(number))
        serving.verify(number, serving.deploy(arns[-1]))
    return arns


def form(**params: Any) -> dict[str, Any]:
    """The context of a run that a person started."""
    return {
        "params": {"version": None, "reason": "too many false alarms, again", **params},
        "dag": SimpleNamespace(dag_id="demo_model_rollback"),
        "run_id": "manual__2026-11-20T12:00:00+00:00",
        "dag_run": SimpleNamespace(triggering_user_name="jane", run_after=datetime.now(UTC)),
    }


def roll_back(serving: Serving, **params: Any) -> dict[str, Any]:
    """All tasks of the DAG; the plan."""
    plan: dict[str, Any] = json.loads(json.dumps(rollback.plan_rollback("demo_model", form(**params))))
    deployed = serving.deploy(plan["model_package_arn"], plan, going_back=True)
    verify = VerifyEndpointOperator(
        task_id="verify",
        config=plan["verify"],
        deployment=deployed,
        sample_uri=plan["sample_uri"],
        poll_seconds=0.1,
    )
    finished(verify, serving.context())
    for _ in range(2):  # a retry notes nothing twice
        rollback.note_rollback(plan)
    return plan


def metadata(serving: Serving, arn: str) -> dict[str, str]:
    found: dict[str, str] = serving.sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    return found


@pytest.mark.slow
def test_back_and_back_again_and_forward(serving: Serving) -> None:
    versions = [*served(serving, 1, 2), serving.version(3)]
    serving.deploy(versions[2])
    serving.plan(CANARY)  # as model.yaml says from here on
    first = roll_back(serving)
    assert (serving.answer(), serving.served_version()) == (4.0, versions[1])
    assert "deployment" not in first["deploy"], "neither waits nor alarms on the way back"
    roll_back(serving)
    assert serving.answer() == 2.0
    with pytest.raises(AirflowFailException, match="no approved version older than version 1"):
        roll_back(serving)
    roll_back(serving, version=3)
    assert serving.answer() == 6.0
    lines = [text for key, text in sorted(metadata(serving, versions[1]).items()) if key.startswith("served.")]
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"1-2 by airflow from deploy: verified at {serving.name} as AllTraffic",
        "3-2 by jane from rollback: too many false alarms- again",
        "2-1 by jane from rollback: too many false alarms- again",
    ]
    decision = decisions(serving.sagemaker.describe_model_package(ModelPackageName=versions[1]))
    assert [item.to_status for item in decision] == ["Approved"], "the history of decisions is left as it was"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["variant", "shadow"])
@pytest.mark.parametrize("chosen", [None, 2])
def test_a_challenger_is_taken_out(serving: Serving, kind: str, chosen: int | None) -> None:
    versions = [serving.version(number) for number in (1, 2, 3)]
    alone = serving.deploy(versions[1])
    serving.deploy(versions[2], serving.plan(f"challenger: {{as: {kind}, percent: 10}}"))
    plan = roll_back(serving, version=chosen)
    assert (plan["model_package_arn"], plan["replaced_arn"]) == (versions[1], versions[2])
    assert serving.endpoint()["EndpointConfigName"] == alone["endpoint_config"]
    assert "ShadowProductionVariants" not in serving.endpoint()
    for arn in versions[1:]:
        lines = [text for key, text in metadata(serving, arn).items() if key.startswith("served.")]
        assert len([line for line in lines if " 3-2 by jane from rollback" in line]) == 1


def test_one_step_back_however_often_it_is_asked_for(serving: Serving) -> None:
    versions = [*served(serving, 1, 2), serving.version(3)]
    serving.deploy(versions[2])
    asked = form()
    plan = rollback.plan_rollback("demo_model", asked)
    assert plan["model_package_arn"] == versions[1]
    serving.deploy(versions[1], plan, going_back=True)
    with pytest.raises(AirflowFailException, match=r"was changed at .* trigger the DAG again with the number"):
        rollback.plan_rollback("demo_model", asked)
    assert serving.answer() == 4.0


@pytest.mark.slow
def test_while_an_update_runs_only_a_number_says_what_is_meant(serving: Serving) -> None:
    versions = [serving.version(1), serving.version(2), serving.version(3, load_seconds=2)]
    serving.deploy(versions[1])
    with pytest.raises(TaskDeferred):
        serving.deploy_operator(versions[2], serving.plan()).execute(serving.context())
    with pytest.raises(AirflowFailException, match=r"is Updating, so that .* trigger the DAG again with the number"):
        rollback.plan_rollback("demo_model", form())
    plan = roll_back(serving, version=2)  # waits for the update, and takes it back
    assert (plan["replaced_arn"], serving.answer()) == (versions[2], 4.0)


def test_what_is_wrong_leaves_production_as_it_is(serving: Serving) -> None:
    served = serving.version(1)
    serving.version(2, approved=False)
    before = serving.deploy(served)
    for version, message in (
        (2, "/2 is PendingManualApproval: nobody has decided on it; only an Approved version"),
        (9, r"/9 does not exist: its versions are 1, 2"),
        (1, "serves .*/1 already"),
    ):
        with pytest.raises(AirflowFailException, match=message):
            rollback.plan_rollback("demo_model", form(version=version))
    assert serving.endpoint()["EndpointConfigName"] == before["endpoint_config"]
    assert serving.configs() == [before["endpoint_config"]]


def test_going_back_to_a_version_that_answers_wrongly_is_taken_back(serving: Serving) -> None:
    serving.version(1, factor=9)
    good = serving.version(2)
    serving.deploy(good)
    with pytest.raises(AirflowFailException, match="serves again"):
        roll_back(serving, version=1)
    assert serving.answer() == 4.0
    assert not any(key.startswith("served.") for key in metadata(serving, good))


@pytest.mark.slow
def test_only_what_has_served_is_gone_back_to_unasked(serving: Serving) -> None:
    [first] = served(serving, 1)
    serving.version(2)  # approved and never deployed: superseded, or kept for the record
    bad = serving.deploy(serving.version(3, factor=9))
    with pytest.raises(AirflowFailException, match="serves again"):
        serving.verify(3, bad)
    served(serving, 4)
    assert rollback.plan_rollback("demo_model", form())["model_package_arn"] == first
    roll_back(serving, version=2)
    roll_back(serving)
    with pytest.raises(AirflowFailException, match="no approved version older than version 1, which serves"):
        rollback.plan_rollback("demo_model", form())


def test_without_one_that_has_served_a_number_says_what_is_meant(serving: Serving) -> None:
    serving.version(1)
    serving.deploy(serving.version(2))
    with pytest.raises(AirflowFailException, match=r"known to have served; .* have served: 1. Trigger .* number"):
        rollback.plan_rollback("demo_model", form())
    assert rollback.plan_rollback("demo_model", form(version=1))["model_package_arn"].endswith("/1")


@pytest.mark.slow
def test_a_version_of_a_month_before_the_first_is_gone_back_to(serving: Serving) -> None:
    served(serving, 1, 2)
    model = serving.project.root / "models/demo_model/model.yaml"
    model.write_text(model.read_text().replace("first_period: 2013-02", "first_period: 2013-03"))
    plan = rollback.plan_rollback("demo_model", form())
    assert plan["model_package_arn"].endswith("/1")
    assert {"Key": "period", "Value": "2013-02"} in plan["deploy"]["endpoint"]["Tags"]


@pytest.mark.slow
def test_a_version_that_cannot_be_verified_is_not_gone_back_to(serving: Serving) -> None:
    served(serving, 1, 2)
    serving.s3.delete_object(Bucket=serving.server.bucket, Key=f"serving/{serving.name}/1/sample.jsonl")
    with pytest.raises(AirflowFailException, match=r"/1/sample.jsonl: there is no such object, so .*/1 cannot be"):
        rollback.plan_rollback("demo_model", form())


@pytest.mark.slow
def test_an_empty_rollback_while_it_scales(serving: Serving) -> None:
    scaling = "autoscaling: {max_instances: 3, invocations_per_instance: 0.1}"
    [first] = served(serving, 1)
    serving.deploy(serving.version(2), serving.plan(scaling))
    serving.answer()
    wait_for(lambda: serving.endpoint()["EndpointStatus"] == "Updating", "the endpoint to scale")
    assert rollback.plan_rollback("demo_model", form())["model_package_arn"] == first
    with pytest.raises(AirflowFailException, match=r"serves .*/2 already"):
        rollback.plan_rollback("demo_model", form(version=2))


def test_promotion_copies_registers_and_waits_for_a_person(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serving.server
    serving.s3.create_bucket(Bucket="production-bucket")
    production = ENVIRONMENT.format(bucket="production-bucket", role_arn=server.role_arn)
    text = production.replace("environment: test", "environment: prod") + "aws_conn_id: production\n"
    names = f"register: {{group: {serving.name}-prod}}, deploy: {{endpoint: {serving.name}-p}}"
    text += f"models: {{demo_model: {{{names}}}}}\n"
    serving.project.write_environment(
        text.replace(f"{serving.name}-prod", serving.name).replace("environment: prod", "environment: shared"), "shared"
    )
    serving.project.write_environment(text, "prod")
    extra = {"region_name": "us-east-1", "endpoint_url": server.url}
    connection = {"conn_type": "aws", "login": "prod", "password": "prod", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION", json.dumps(connection))
    arn = serving.version(1)
    evaluation = f"serving/{serving.name}/1/evaluation.json"
    serving.plan()

    def plan(**params: Any) -> dict[str, Any]:
        chosen = {"version": 1, "source": "test", "target": "prod", **params}
        found = promotion.plan_promotion("demo_model", form(**chosen))
        return dict(json.loads(json.dumps(found)))

    with pytest.raises(AirflowFailException, match="choose two environments"):
        plan(target="test")
    with pytest.raises(AirflowFailException, match=rf"test and shared share the model package group {serving.name},"):
        plan(target="shared")
    sample = {"Bucket": server.bucket, "Key": f"serving/{serving.name}/1/sample.jsonl"}
    rows = serving.s3.get_object(**sample)["Body"].read()
    serving.s3.delete_object(**sample)
    with pytest.raises(AirflowFailException, match=r"sample.jsonl: there is no such object, so .*/1 cannot be"):
        plan()
    serving.s3.put_object(**sample, Body=rows)
    with pytest.raises(AirflowFailException, match=r"evaluation.json: there is no such object; nothing was registered"):
        promotion.promote_version(plan())
    assert not serving.sagemaker.list_model_package_groups(NameContains=f"{serving.name}-prod")[
        "ModelPackageGroupSummaryList"
    ]

    serving.s3.put_object(Bucket=server.bucket, Key=evaluation, Body=b"{}")
    planned = plan()
    promoted = promotion.promote_version(planned)
    assert promotion.promote_version(planned) == promoted
    package = serving.sagemaker.describe_model_package(ModelPackageName=promoted)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    container = package["InferenceSpecification"]["Containers"][0]
    place = f"s3://production-bucket/demo_model/promoted/test/{serving.name}/1/"
    assert container["ModelDataUrl"].startswith(place), "each group counts its versions from 1"
    notes = package["CustomerMetadataProperties"]
    assert (notes["source_version"], notes["source_environment"], notes["environment"]) == (arn, "test", "prod")
    assert "test-prod by jane from promotion" in notes["promoted"]
    assert not any(key.startswith(("decided_", "transition.")) for key in notes), (
        "who decided there did not decide here"
    )
    body = serving.s3.get_object(Bucket="production-bucket", Key=planned["sample_uri"].split("/", 3)[3])["Body"].read()
    assert len(body.splitlines()) == 3
    with pytest.raises(AirflowFailException, match="only an Approved version"):
        serving.deploy(promoted, planned)
    serving.sagemaker.update_model_package(ModelPackageArn=promoted, ModelApprovalStatus="Approved")
    assert serving.deploy(promoted, planned)["endpoint"] == f"{serving.name}-p"
    for _ in range(2):
        promotion.note_promotion(planned, promoted)
    assert [text for key, text in metadata(serving, promoted).items() if key.startswith("served.")] == [planned["note"]]
    again = promotion.promote_version(plan())
    assert (again.rpartition("/")[2], promoted.rpartition("/")[2]) == ("2", "1"), "a second promotion asks again"
