"""The model archive of a serving container: from S3 to its directory."""

from __future__ import annotations

import shutil
from pathlib import Path

from botocore.exceptions import ClientError

from include.sagemaker_local.containers import archives
from include.sagemaker_local.context import Context
from include.sagemaker_local.s3_uri import split_s3


class DeploymentError(Exception):
    """Why a deployment could not be brought up; the text becomes the endpoint's FailureReason."""


def unpack_model(ctx: Context, url: str | None, directory: Path) -> None:
    """Unpack a model.tar.gz of S3 into `directory`; it lies beside it meanwhile.

    Raises DeploymentError when it is missing or not an archive.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if not url:
        return
    archive = directory.with_name("model.tar.gz")
    try:
        _download(ctx, url, archive)
        archives.unpack(archive, directory)
    except archives.ArchiveError as error:
        raise DeploymentError(
            f'Failed to extract model data archive for container "container_1" from URL "{url}". '
            f"Please ensure that the object located at the URL is a valid tar.gz archive. ({error})"
        ) from error
    finally:
        archive.unlink(missing_ok=True)


def _download(ctx: Context, url: str, archive: Path) -> None:
    bucket, key = split_s3(url)
    try:
        content = ctx.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        raise DeploymentError(
            f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that '
            "there is an object located at the URL and that the role passed to CreateModel has permissions to download "
            "the object."
        ) from error
    with archive.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
