"""Model packages, tags and files of the SageMaker SDK v3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.kits import sdk_kit
from tests.kits.job_kit import Jobs

pytestmark = sdk_kit.MARKS


def test_model_packages(trained: Any, jobs: Jobs) -> None:
    from sagemaker.core.resources import ModelPackage, ModelPackageGroup

    group = ModelPackageGroup.create(model_package_group_name="sdk-group")
    container = {"Image": sdk_kit.SKLEARN, "ModelDataUrl": trained.model_artifacts.s3_model_artifacts}
    created = jobs.sagemaker.create_model_package(  # ModelPackage.create of 3.27 asks the answer for another member
        ModelPackageGroupName="sdk-group",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )
    package = ModelPackage.get(model_package_name=created["ModelPackageArn"])
    assert package.model_approval_status == "PendingManualApproval"
    package.update(model_approval_status="Approved", approval_description="good")
    found = ModelPackage.get(model_package_name=package.model_package_arn)
    assert (found.model_approval_status, found.model_package_version) == ("Approved", 1)
    listed = list(ModelPackage.get_all(model_package_group_name="sdk-group"))
    assert [item.model_package_arn for item in listed] == [package.model_package_arn]
    jobs.sagemaker.delete_model_package(
        ModelPackageName=package.model_package_arn
    )  # versions have no name to delete by
    group.delete()
    assert list(ModelPackageGroup.get_all(name_contains="sdk-group")) == []


def test_model_builder_registers_a_version(trained: Any, session: Any, source: Path, jobs: Jobs) -> None:
    from sagemaker.core.resources import ModelPackageGroup
    from sagemaker.core.training.configs import SourceCode
    from sagemaker.serve.model_builder import ModelBuilder

    ModelPackageGroup.create(model_package_group_name="sdk-registered")
    builder = ModelBuilder(
        s3_model_data_url=trained.model_artifacts.s3_model_artifacts,
        role_arn=jobs.server.role_arn,
        sagemaker_session=session,
        image_uri=sdk_kit.SKLEARN,
        instance_type="ml.m5.large",
        source_code=SourceCode(source_dir=str(source), entry_script="inference.py"),
    )
    builder.build(model_name="sdk-to-register")
    package = builder.register(
        model_package_group_name="sdk-registered",
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=["ml.m5.large"],
        transform_instances=["ml.m5.large"],
        approval_status="Approved",
    )
    [found] = jobs.sagemaker.list_model_packages(ModelPackageGroupName="sdk-registered")["ModelPackageSummaryList"]
    assert found["ModelApprovalStatus"] == "Approved"
    assert str(package).endswith("/1") or package.model_package_arn.endswith("/1")


def test_tags(trained: Any) -> None:
    from sagemaker.core import shapes
    from sagemaker.core.resources import Tag

    Tag.add_tags(resource_arn=trained.training_job_arn, tags=[shapes.Tag(key="reviewed", value="yes")])
    assert "reviewed" in [tag.key for tag in Tag.get_all(resource_arn=trained.training_job_arn)]
    Tag.delete_tags(resource_arn=trained.training_job_arn, tag_keys=["reviewed"])
    assert "reviewed" not in [tag.key for tag in Tag.get_all(resource_arn=trained.training_job_arn)]


def test_files_go_up_and_come_down(session: Any, source: Path, tmp_path: Path, jobs: Jobs) -> None:
    from sagemaker.core.s3 import S3Downloader, S3Uploader

    url = session.upload_data(str(source), bucket=jobs.server.bucket, key_prefix="sdk/uploaded")
    assert url == f"s3://{jobs.server.bucket}/sdk/uploaded"
    assert sorted(jobs.keys("sdk/uploaded/")) == ["inference.py", "process.py", "train.py"]
    assert S3Uploader.upload_string_as_file_body("x", f"{url}/note.txt", sagemaker_session=session)
    assert S3Downloader.read_file(f"{url}/note.txt", sagemaker_session=session) == "x"
    S3Downloader.download(url, str(tmp_path), sagemaker_session=session)
    assert (tmp_path / "train.py").read_text() == sdk_kit.TRAIN
    assert len(S3Downloader.list(url, sagemaker_session=session)) == 4
