"""The release on a real scheduler, triggerer and workers: every channel and every end, and no action is left open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sagemaker_retraining.requests.approval import status_changes
from tests.e2e.release import REFUSED, WAITING
from tests.kits.browser import answer_in_the_browser
from tests.kits.release_kit import CHROMIUM, EFFECT_SECONDS, Release, Run, local_user, until

# The first test waits for all runs to get as far as the decision.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SERVE = ("deploy", "verify", "cleanup")
AFTER_YES = {"approval": "success", **dict.fromkeys(SERVE, "success")}
AFTER_NO = {"approval": "skipped", **dict.fromkeys(SERVE, "skipped")}
AFTER_FAILURE = {"approval": "failed", **dict.fromkeys(SERVE, "upstream_failed")}
SOMEBODY = "arn:aws:iam::123456789012:user/somebody"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    release = Release(tmp_path_factory.mktemp("release"))
    yield release
    release.stop()


@pytest.fixture(scope="module")
def runs(release: Release) -> dict[str, Run]:
    """A run of every model, started at once. When it waits for a decision no other one is at work."""
    runs = {model: release.start(model) for model in (*WAITING, *REFUSED)}
    for model, run in runs.items():
        if model in REFUSED:
            run.end()
        elif not model.startswith("deadline_"):
            run.wait_for_review()
    return runs


def released(run: Run, expected: dict[str, str], review: str) -> None:
    """The run's tasks are as they should be, and no action is open."""
    states = run.states()
    built = {task for task in states if task not in (*expected, "review")}
    assert {task: states[task] for task in built} == dict.fromkeys(built, "success")
    assert {task: states[task] for task in expected} == expected
    assert states["review"] == review
    assert run.release.open_actions(run.model) == 0


def takes_effect(run: Run, state: str, since: float) -> None:
    """The approval task comes to this state within EFFECT_SECONDS of the decision."""
    until(f"approval is {state}: {run.states()}", lambda: run.states()["approval"] == state, EFFECT_SECONDS)
    assert time.monotonic() - since <= EFFECT_SECONDS


def recorded(run: Run, status: str, by: str, channel: str, reason: str) -> None:
    """The registry can be read back: what, who, from where, why."""
    package = run.package()
    assert (package["ModelApprovalStatus"], package.get("ApprovalDescription", "")) == (status, reason)
    metadata = package["CustomerMetadataProperties"]
    assert (metadata["decided_by"], metadata["decided_from"]) == (by, channel)
    line = status_changes(package)[-1]
    assert (line.from_status, line.to_status, line.by, line.channel) == ("PendingManualApproval", status, by, channel)
    assert line.reason == reason


class TestRequiredActions:
    @pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
    def test_approve_in_a_browser(self, runs: dict[str, Run]) -> None:
        run = runs["airflow_yes"]
        page = answer_in_the_browser(run, "Approve", "better on every metric")
        started = time.monotonic()
        assert "metric" in page
        assert "champion" in page
        takes_effect(run, "success", started)
        assert run.end() == "success"
        released(run, AFTER_YES, review="success")
        recorded(run, "Approved", "reviewer", "airflow", "better on every metric")

    @pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
    def test_reject_in_a_browser(self, runs: dict[str, Run]) -> None:
        run = runs["airflow_no"]
        answer_in_the_browser(run, "Reject", "too many false alarms")
        takes_effect(run, "skipped", time.monotonic())
        assert run.end() == "success"
        released(run, AFTER_NO, review="success")
        recorded(run, "Rejected", "reviewer", "airflow", "too many false alarms")
        assert "too many false alarms" in run.log("approval")

    def test_a_rejection_without_a_reason_is_asked_again(self, runs: dict[str, Run]) -> None:
        run = runs["rejection_fails"]
        assert run.answer("Reject", None).status_code == 200
        until("the action is open again", lambda: "asking again" in run.log("review"))
        run.wait_for_review()
        assert run.package()["ModelApprovalStatus"] == "PendingManualApproval"
        assert run.answer("Reject", "not this month").status_code == 200
        assert run.end() == "failed"
        released(run, AFTER_FAILURE, review="success")
        recorded(run, "Rejected", "admin", "airflow", "not this month")


class TestCommandLine:
    def test_approve(self, release: Release, runs: dict[str, Run]) -> None:
        run = runs["cli_yes"]
        done = release.command("approve", "cli_yes", "1", "--reason", "better")
        assert done.returncode == 0, done.stderr
        takes_effect(run, "success", time.monotonic())
        assert run.end() == "success"
        released(run, AFTER_YES, review="skipped")
        who = run.package()["CustomerMetadataProperties"]["decided_by"]
        assert who.startswith(f"{local_user()} as arn:aws:")
        recorded(run, "Approved", who, "cli", "better")

    def test_reject(self, release: Release, runs: dict[str, Run]) -> None:
        run = runs["cli_no"]
        done = release.command("reject", "cli_no", "1", "--reason", "worse")
        assert done.returncode == 0, done.stderr
        takes_effect(run, "skipped", time.monotonic())
        assert run.end() == "success"
        released(run, AFTER_NO, review="skipped")
        again = release.command("approve", "cli_no", "1")
        assert again.returncode == 1
        assert again.stderr.startswith("already decided: cli-no/1 is Rejected by")


class TestPlainBoto3:
    @pytest.mark.parametrize(
        ("model", "status", "expected"), [("boto3_yes", "Approved", AFTER_YES), ("boto3_no", "Rejected", AFTER_NO)]
    )
    def test_decide(
        self, release: Release, runs: dict[str, Run], model: str, status: str, expected: dict[str, str]
    ) -> None:
        run = runs[model]
        release.api.update_model_package(
            ModelPackageArn=run.arn(), ModelApprovalStatus=status, ApprovalDescription="seen in Studio"
        )
        takes_effect(run, expected["approval"], time.monotonic())
        assert run.end() == "success"
        released(run, expected, review="skipped")
        recorded(run, status, SOMEBODY, "registry", "seen in Studio")
        assert "seen in Studio" in run.log("approval")


def test_of_two_channels_at_once_one_wins_without_an_error(release: Release, runs: dict[str, Run]) -> None:
    run = runs["race"]
    with ThreadPoolExecutor(2) as pool:
        command = pool.submit(release.command, "approve", "race", "1", "--reason", "from the command line")
        answer = pool.submit(run.answer, "Reject", "from Airflow")
    assert answer.result().status_code == 200
    assert run.end() == "success"
    package = run.package()
    [line] = status_changes(package)
    assert (line.to_status, line.channel) in (("Approved", "cli"), ("Rejected", "airflow"))
    won = line.channel == "cli"
    released(run, AFTER_YES if won else AFTER_NO, review="skipped" if won else "success")
    assert command.result().returncode == (0 if won else 1)
    if not won:
        assert "already decided: race/1 is Rejected by admin from airflow" in command.result().stderr


class TestQualityGate:
    """A metric that no model can reach; the model's `on_failure` says what that does to the run."""

    @pytest.mark.parametrize(
        ("model", "gate", "rest"), [("gate_fails", "failed", "upstream_failed"), ("gate_skips", "skipped", "skipped")]
    )
    def test_nothing_is_registered(
        self, release: Release, runs: dict[str, Run], model: str, gate: str, rest: str
    ) -> None:
        run = runs[model]
        assert run.end() == ("failed" if gate == "failed" else "success")
        after = dict.fromkeys(("register", "approval", *SERVE), rest)
        released(run, {"quality_gate": gate, **after}, review=rest)
        assert run.tries("quality_gate") == 1
        self.explained(run)
        assert (
            release.api.list_model_package_groups(NameContains=model.replace("_", "-"))["ModelPackageGroupSummaryList"]
            == []
        )

    def test_register_rejected(self, runs: dict[str, Run]) -> None:
        run = runs["gate_registers"]
        assert run.end() == "success"
        released(run, AFTER_NO, review="skipped")
        self.explained(run)
        package = run.package()
        assert package["ModelApprovalStatus"] == "Rejected"
        assert "misses its minimum of 2" in package["ApprovalDescription"]
        assert (package["CustomerMetadataProperties"]["decided_from"]) == "quality gate"
        assert "misses its minimum of 2" in run.log("approval")

    def explained(self, run: Run) -> None:
        """The decision with its numbers is an XCom and a line in the log, also of a task that failed or was skipped."""
        decision = run.returned("quality_gate")
        assert (decision["passed"], decision["champion"]) == (False, None)
        assert 0 < decision["challenger"]["auc"] <= 1
        assert "misses its minimum of 2" in decision["reason"]
        assert f"Quality gate: refused: {decision['reason']}" in run.log("quality_gate")


class TestDeadline:
    def test_fail(self, runs: dict[str, Run]) -> None:
        run = runs["deadline_fails"]
        assert run.end() == "failed"
        released(run, AFTER_FAILURE, review="skipped")
        assert run.package()["ModelApprovalStatus"] == "PendingManualApproval"
        assert "no decision in" in run.log("approval")

    def test_reject(self, runs: dict[str, Run]) -> None:
        run = runs["deadline_rejects"]
        assert run.end() == "success"
        released(run, AFTER_NO, review="skipped")
        recorded(run, "Rejected", "deadline", "deadline", run.package()["ApprovalDescription"])
        assert run.package()["ApprovalDescription"].startswith("no decision in")

    def test_expire(self, runs: dict[str, Run]) -> None:
        run = runs["deadline_expires"]
        assert run.end() == "success"
        released(run, AFTER_NO, review="skipped")
        assert run.package()["ModelApprovalStatus"] == "PendingManualApproval"


def test_a_newer_version_supersedes_and_an_older_month_is_for_the_record(release: Release) -> None:
    older = release.start("two_months", "2024-01")
    newer = release.start("two_months", "2024-02")
    older.wait_for_review()
    newer.wait_for_review()
    number = newer.arn().rpartition("/")[2]
    assert release.command("approve", "two_months", number).returncode == 0
    assert older.end() == "success"
    released(older, AFTER_NO, review="skipped")
    assert "2024-02" in older.log("approval")
    assert older.package()["ModelApprovalStatus"] == "PendingManualApproval"
    assert newer.end() == "success"
    serving = release.api.describe_endpoint(EndpointName="two-months-local")["EndpointConfigName"]
    # From Airflow's own backfill, of the newest month even: registered, and nobody is asked.
    backfill = release.backfill("two_months", "2024-02-01")
    assert backfill.end() == "success"
    released(backfill, AFTER_NO, review="skipped")
    assert "comes from a backfill: kept for the record" in backfill.log("approval")
    assert backfill.package()["CustomerMetadataProperties"]["period"] == "2024-02"
    assert backfill.package()["ModelApprovalStatus"] == "PendingManualApproval"
    assert release.api.describe_endpoint(EndpointName="two-months-local")["EndpointConfigName"] == serving
