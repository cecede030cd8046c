"""Who makes the request that is being answered, as far as a machine without passwords knows."""

from __future__ import annotations

import re
from contextvars import ContextVar

from include.sagemaker_local.context import Context

ACCESS_KEY: ContextVar[str] = ContextVar("access_key", default="local")
"""The access key id of the current request; the server sets it."""


def access_key(authorization: str) -> str:
    """The access key id of an Authorization header; `local` without one."""
    credential = re.search(r"Credential=([^/,]+)/", authorization)
    return credential[1] if credential else "local"


def user_context(context: Context) -> dict[str, dict[str, str]]:
    """The caller as CreatedBy and LastModifiedBy show it: the access key stands for an IAM user of that name."""
    key = ACCESS_KEY.get()
    return {"IamIdentity": {"Arn": f"arn:aws:iam::{context.settings.account}:user/{key}", "PrincipalId": key}}
