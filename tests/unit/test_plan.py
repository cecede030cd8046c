"""A run's names, places and tags: within limits, the same for every try, and no two runs in each other's way."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.config.environment import RUN_TAGS
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import (
    PlanError,
    clean_tag,
    code_files,
    fingerprint,
    package_code,
    short_hash,
    with_generation,
)
from sagemaker_retraining.plan.names import job_name
from sagemaker_retraining.requests import build_requests
from tests.kits.project import ENVIRONMENT, MODEL, ExampleProject

JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
TAG_VALUE = re.compile(r"[\w .:/=+\-@]{0,256}")


@pytest.fixture
def project(tmp_path: Path) -> ExampleProject:
    return ExampleProject(tmp_path)


class TestNames:
    @given(
        st.from_regex(r"[a-z][a-z0-9-]{0,28}[a-z0-9]", fullmatch=True),
        st.sampled_from(["preprocess", "train", "evaluate"]),
        st.builds(Period, st.integers(1000, 9999), st.integers(1, 12)),
        st.text(),
        st.integers(0, 999),
    )
    def test_the_longest_model_with_any_run_id_fits(
        self, slug: str, step: str, period: Period, run_id: str, generation: int
    ) -> None:
        name = job_name(slug, step, period, short_hash("dag", run_id))
        attempt = with_generation({"TrainingJobName": name}, generation)["TrainingJobName"]
        assert JOB_NAME.fullmatch(attempt)
        assert attempt.startswith(f"{slug}-{step}-{period.compact}-")

    def test_a_generation_writes_beside_the_earlier_ones(self) -> None:
        outputs = {"Outputs": [{"OutputName": "test", "S3Output": {"S3Uri": "s3://b/run/test/"}}]}
        request = {"ProcessingJobName": "p", "ProcessingOutputConfig": outputs}
        uris = [
            with_generation(request, generation)["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
            for generation in range(3)
        ]
        assert uris == ["s3://b/run/test/", "s3://b/run/test-g1/", "s3://b/run/test-g2/"]

    def test_checkpoints_go_with_the_generation_that_began_from_nothing(self) -> None:
        request = {"TrainingJobName": "t", "CheckpointConfig": {"S3Uri": "s3://b/checkpoints/run/"}}
        assert with_generation(request, 1)["CheckpointConfig"]["S3Uri"] == "s3://b/checkpoints/run/"
        assert with_generation(request, 3, first=2)["CheckpointConfig"]["S3Uri"] == "s3://b/checkpoints/run-g2/"
        assert request["CheckpointConfig"]["S3Uri"] == "s3://b/checkpoints/run/"

    @given(st.text())
    def test_any_text_becomes_a_tag(self, text: str) -> None:
        assert TAG_VALUE.fullmatch(clean_tag(text))
        assert clean_tag(clean_tag(text)) == clean_tag(text)

    def test_a_good_tag_stays_as_it_is(self) -> None:
        assert clean_tag("manual__2026-03-01T00:00:00+00:00 a@b.c/d=é") == "manual__2026-03-01T00:00:00+00:00 a@b.c/d=é"

    def test_generations(self) -> None:
        request = {"ProcessingJobName": "a-b", "x": {"y": 1}}
        assert with_generation(request, 0) == request
        assert with_generation(request, 2) == {"ProcessingJobName": "a-b-g2", "x": {"y": 1}}
        with pytest.raises(ValueError, match="has 64 characters; SageMaker allows 63"):
            with_generation({"TrainingJobName": "x" * 61}, 1)
        with pytest.raises(ValueError, match="expected one of"):
            with_generation({"ModelName": "x"}, 1)

    def test_a_fingerprint_does_not_depend_on_the_order_of_keys(self) -> None:
        assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
        assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


class TestRun:
    def test_every_try_of_a_run_has_the_same_plan(self, project: ExampleProject) -> None:
        assert build_requests(project.plan()) == build_requests(project.plan())

    @pytest.mark.parametrize(
        "change",
        [{"run_id": "manual__1"}, {"dag_id": "other"}, {"period": "2013-10"}],
        ids=lambda change: next(iter(change)),
    )
    def test_runs_share_nothing(self, project: ExampleProject, change: dict[str, str]) -> None:
        one, other = project.plan(), project.plan(**change)
        assert one.prefix != other.prefix
        assert one.job_name("train") != other.job_name("train")

    def test_environments_of_one_account_share_no_job_names(self, project: ExampleProject) -> None:
        assert project.plan("test").job_name("train") != project.plan("prod").job_name("train")

    def test_environments_of_one_bucket_share_no_run_even_where_nobody_ran_lint(self, project: ExampleProject) -> None:
        project.write_environment(ENVIRONMENT.replace("environment: test", "environment: dev"), "dev")
        one, other = project.plan("test"), project.plan("dev")
        assert one.run_key != other.run_key
        assert one.prefix != other.prefix
        assert one.checkpoints_uri != other.checkpoints_uri

    @pytest.mark.parametrize("kind", ["", "deploy: {asynchronous: {}}\n", "deploy: {kind: batch}\n"])
    def test_a_prefix_comes_before_everything(self, project: ExampleProject, kind: str) -> None:
        project.write_environment(ENVIRONMENT + "prefix: teams/dev\n")
        project.write_model(MODEL + kind)
        requests = json.dumps(build_requests(project.plan()))
        places = re.findall(r"s3://demo-bucket/([^\"]*)", requests)
        assert len(places) > 10
        assert {place.split("/demo_model/")[0] for place in places} == {"teams/dev"}
        ready = json.loads(requests)["data_ready"]
        assert ready["raw_prefix"] == "teams/dev/demo_model/raw/"
        assert ready["success_key"] == "teams/dev/demo_model/raw/period=2013-11/_SUCCESS"
        assert json.loads(requests)["prefix"].startswith("teams/dev/demo_model/runs/2013-11/")

    def test_raw_data_may_be_another_environments(self, project: ExampleProject) -> None:
        raw = "s3://demo-bucket/shared #1?/raw/"
        project.write_environment(
            ENVIRONMENT + f"prefix: dev\nmodels: {{demo_model: {{data: {{raw_uri: '{raw}'}}}}}}\n"
        )
        ready = build_requests(project.plan())["data_ready"]
        assert (ready["bucket"], ready["raw_prefix"]) == ("demo-bucket", "shared #1?/raw/")
        assert ready["manifest_uri"].startswith("s3://demo-bucket/dev/demo_model/runs/")

    def test_a_retry_in_another_month_goes_on_from_its_own_runs_checkpoints(self, project: ExampleProject) -> None:
        assert project.plan().checkpoints_uri == f"s3://demo-bucket/demo_model/checkpoints/{project.plan().run_key}/"
        assert project.plan().checkpoints_uri != project.plan(run_id="manual__1").checkpoints_uri

    def test_ten_tags_because_an_s3_object_takes_no_more(self, project: ExampleProject) -> None:
        tags = project.plan("prod").tags
        assert tuple(tags) == RUN_TAGS
        assert len(tags) == 10
        assert {"Key": "data class", "Value": "internal"} in project.plan("prod").resource_tags

    def test_a_month_before_the_first(self, project: ExampleProject) -> None:
        with pytest.raises(PlanError, match=r"period 2013-01 is before first_period 2013-02"):
            project.plan(period="2013-01")

    def test_fingerprints_follow_what_they_are_of(self, project: ExampleProject) -> None:
        before = project.plan().facts()["fingerprints"]
        project.write_model(MODEL + "train: {volume_gb: 31}\n")
        after = project.plan().facts()["fingerprints"]
        assert after["model"] != before["model"]
        assert after["environment"] == before["environment"]


class TestCode:
    def test_what_is_code(self, project: ExampleProject) -> None:
        for name in (
            "README.md",
            "sample_data.py",
            "backtest.py",
            "tests/test_x.py",
            "__pycache__/a.pyc",
            ".hidden/a",
            "lib/a.py",
        ):
            (project.folder / name).parent.mkdir(exist_ok=True)
            (project.folder / name).write_text("")
        assert code_files(project.folder) == ["evaluate.py", "inference.py", "lib/a.py", "preprocess.py", "train.py"]

    @pytest.mark.parametrize(("text", "counts"), [("", False), ("# none\n\n", False), ("pandas==3.0\n", True)])
    def test_requirements_count_when_they_name_something(
        self, project: ExampleProject, text: str, counts: bool
    ) -> None:
        (project.folder / "requirements.txt").write_text(text)
        assert package_code(project.folder).installs_packages is counts

    def test_the_same_files_are_the_same_bytes(self, project: ExampleProject) -> None:
        before = package_code(project.folder)
        (project.folder / "train.py").touch()
        after = package_code(project.folder)
        assert (before.sha256, before.archive()) == (after.sha256, after.archive())

    def test_other_content_or_another_name_is_other_code(self, project: ExampleProject) -> None:
        hashes = {package_code(project.folder).sha256}
        (project.folder / "a.py").write_text("b")
        hashes.add(package_code(project.folder).sha256)
        (project.folder / "a.py").rename(project.folder / "b.py")
        hashes.add(package_code(project.folder).sha256)
        assert len(hashes) == 3

    def test_the_archive_holds_the_files(self, project: ExampleProject, tmp_path: Path) -> None:
        code = package_code(project.folder)
        with tarfile.open(fileobj=io.BytesIO(code.archive()), mode="r:gz") as tar:
            tar.extractall(tmp_path / "out", filter="data")
        assert package_code(tmp_path / "out") == code
