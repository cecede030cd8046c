"""boto3 clients of the local SageMaker, which serves every AWS service at one address."""

from __future__ import annotations

from typing import Any

from include.laptop.layout import REGION, Addresses


def client(service: str, where: Addresses) -> Any:
    """A client that can reach nothing but this machine: credentials mean nothing there, proxies are left out."""
    import boto3
    from botocore.config import Config

    session: Any = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)  # noqa: S106
    config = Config(proxies={}, retries={"max_attempts": 2})
    return session.client(service, endpoint_url=where.sagemaker, config=config)
