"""Rollback and promotion against the local SageMaker: what the form asks for happens, or nothing does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.operators import transitions
from sagemaker_retraining.operators.endpoints import served_version
from sagemaker_retraining.operators.verify import VerifyEndpointOperator
from sagemaker_retraining.requests.decision import transitions as decisions
from tests.conftest import LocalSageMaker
from tests.local.serving_kit import ENVIRONMENT, Serving, finished, short_name

pytestmark = [pytest.mark.usefixtures("aws_connection"), pytest.mark.slow]
CANARY = "rollout: {strategy: canary, wait_seconds: 60}, alarms: [{metric: error_rate, above: 0.05}]"


@pytest.fixture
def serving(
    sagemaker_local: LocalSageMaker, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Serving:
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setenv("RETRAINING_ENV", "test")
    return Serving(sagemaker_local, tmp_path, short_name(request.node.name))


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
    plan: dict[str, Any] = json.loads(json.dumps(transitions.plan_rollback("demo_model", form(**params))))
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
        transitions.record(RetrainingHook(), [plan["model_package_arn"], plan["replaced_arn"]], plan["note"])
    return plan


def metadata(serving: Serving, arn: str) -> dict[str, str]:
    found: dict[str, str] = serving.sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    return found


def test_back_and_back_again_and_forward(serving: Serving) -> None:
    versions = [serving.version(number) for number in (1, 2, 3)]
    serving.deploy(versions[2], serving.plan(CANARY))
    first = roll_back(serving)
    assert (serving.answer(), served_version(RetrainingHook(), serving.name)) == (4.0, versions[1])
    assert "deployment" not in first["deploy"], "neither waits nor alarms on the way back"
    roll_back(serving)
    assert serving.answer() == 2.0
    with pytest.raises(AirflowFailException, match="no approved version older than version 1"):
        roll_back(serving)
    roll_back(serving, version=3)
    assert serving.answer() == 6.0
    lines = [text for key, text in sorted(metadata(serving, versions[1]).items()) if key.startswith("served.")]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "3-2 by jane from rollback: too many false alarms- again",
        "2-1 by jane from rollback: too many false alarms- again",
    ]
    decision = decisions(serving.sagemaker.describe_model_package(ModelPackageName=versions[1]))
    assert [item.to_status for item in decision] == ["Approved"], "the history of decisions is left as it was"


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
        assert " 3-2 by jane from rollback" in metadata(serving, arn)["served.01"]


def test_one_step_back_however_often_it_is_asked_for(serving: Serving) -> None:
    versions = [serving.version(number) for number in (1, 2, 3)]
    serving.deploy(versions[2])
    asked = form()
    plan = transitions.plan_rollback("demo_model", asked)
    assert plan["model_package_arn"] == versions[1]
    serving.deploy(versions[1], plan, going_back=True)
    with pytest.raises(AirflowFailException, match=r"was changed at .* trigger the DAG again with the number"):
        transitions.plan_rollback("demo_model", asked)
    assert serving.answer() == 4.0


def test_while_an_update_runs_only_a_number_says_what_is_meant(serving: Serving) -> None:
    versions = [serving.version(1), serving.version(2), serving.version(3, load_seconds=2)]
    serving.deploy(versions[1])
    with pytest.raises(TaskDeferred):
        serving.deploy_operator(versions[2], serving.plan()).execute(serving.context())
    with pytest.raises(AirflowFailException, match=r"is Updating, so that .* trigger the DAG again with the number"):
        transitions.plan_rollback("demo_model", form())
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
            transitions.plan_rollback("demo_model", form(version=version))
    assert serving.endpoint()["EndpointConfigName"] == before["endpoint_config"]
    assert serving.configs() == [before["endpoint_config"]]


def test_going_back_to_a_version_that_answers_wrongly_is_taken_back(serving: Serving) -> None:
    serving.version(1, factor=9)
    good = serving.version(2)
    serving.deploy(good)
    with pytest.raises(AirflowFailException, match="serves again"):
        roll_back(serving)
    assert serving.answer() == 4.0
    assert not any(key.startswith("served.") for key in metadata(serving, good))


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
        found = transitions.plan_promotion("demo_model", form(**chosen))
        return dict(json.loads(json.dumps(found)))

    with pytest.raises(AirflowFailException, match="choose two environments"):
        plan(target="test")
    with pytest.raises(AirflowFailException, match=rf"test and shared share the model package group {serving.name},"):
        plan(target="shared")
    with pytest.raises(AirflowFailException, match=r"evaluation.json: there is no such object; nothing was registered"):
        transitions.promote(plan())
    assert not serving.sagemaker.list_model_package_groups(NameContains=f"{serving.name}-prod")[
        "ModelPackageGroupSummaryList"
    ]

    serving.s3.put_object(Bucket=server.bucket, Key=evaluation, Body=b"{}")
    planned = plan()
    promoted = transitions.promote(planned)
    assert transitions.promote(planned) == promoted
    package = serving.sagemaker.describe_model_package(ModelPackageName=promoted)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    container = package["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"].startswith("s3://production-bucket/demo_model/promoted/test/1/")
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
        transitions.record(transitions.target_hook(planned), [promoted], planned["note"])
    assert [text for key, text in metadata(serving, promoted).items() if key.startswith("served.")] == [planned["note"]]
    again = transitions.promote(plan())
    assert (again.rpartition("/")[2], promoted.rpartition("/")[2]) == ("2", "1"), "a second promotion asks again"
