"""Asynchronous endpoints: their configs, requests to them, and the answers that arrive in S3."""

from __future__ import annotations

from typing import Any

from tests.kits.endpoint_kit import Kit, wait_for


def async_config(
    kit: Kit, name: str, *, topics: dict[str, Any] | None = None, concurrent: int | None = None, **model: Any
) -> str:
    """An asynchronous endpoint config: outputs below <name>/out, failures below <name>/failed."""
    kit.config(f"{name}-model", **model)
    output: dict[str, Any] = {
        "S3OutputPath": f"s3://{kit.server.bucket}/{name}/out",
        "S3FailurePath": f"s3://{kit.server.bucket}/{name}/failed/",
    }
    config: dict[str, Any] = {"OutputConfig": output | ({"NotificationConfig": topics} if topics else {})}
    if concurrent:
        config["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": concurrent}
    kit.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": f"{name}-model",
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
            }
        ],
        AsyncInferenceConfig=config,
    )
    return name


def submit(kit: Kit, endpoint: str, body: str | None = "1,2", **options: Any) -> dict[str, Any]:
    """InvokeEndpointAsync, CSV in and out; with a body it is sent along."""
    options = {"ContentType": "text/csv", "Accept": "text/csv", **options}
    if body is not None:
        options["Body"] = body
    answer: dict[str, Any] = kit.runtime.invoke_endpoint_async(EndpointName=endpoint, **options)
    return answer


def text_at(kit: Kit, url: str) -> str | None:
    """The object's text; None as long as there is none."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        body: bytes = kit.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except kit.s3.exceptions.NoSuchKey:
        return None
    return body.decode()


def arrived(kit: Kit, url: str) -> str:
    """The object's text, once it is there."""
    text: str = wait_for(lambda: text_at(kit, url), f"the object {url}", 60)
    return text
