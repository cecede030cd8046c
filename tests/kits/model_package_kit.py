"""Model packages for tests: what CreateModelPackage takes."""

from __future__ import annotations

from typing import Any

from tests.conftest import LocalSageMaker

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1"


def inference_specification(server: LocalSageMaker) -> dict[str, Any]:
    """The InferenceSpecification of a model package whose artefact exists."""
    server.client("s3").put_object(Bucket=server.bucket, Key="registry/model.tar.gz", Body=b"model")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{server.bucket}/registry/model.tar.gz"}
    return {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
