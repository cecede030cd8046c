"""`ListServiceQuotas` of Service Quotas, for SageMaker: what the switch `/_local/quotas` says.

https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypedDict

from include.sagemaker_local.aws.overrides.json_protocol import json_reply, json_request
from include.sagemaker_local.context import Context
from include.sagemaker_local.errors import AwsError, unsupported_operation
from include.sagemaker_local.http.types import Environ, Reply
from include.sagemaker_local.state.quotas import Quotas

_MOST = 100


class QuotasRequest(TypedDict, total=False):
    """What ListServiceQuotas is asked here."""

    ServiceCode: str
    MaxResults: int
    NextToken: str


def list_service_quotas(context: Context, environ: Environ, _: Callable[[Environ], Reply]) -> Reply:
    """A page of the quotas of SageMaker's instances, by name."""
    request: QuotasRequest = json_request(environ)
    for name in set(request) - set(QuotasRequest.__annotations__):
        raise unsupported_operation(f"ListServiceQuotas with {name}")
    code, size = request.get("ServiceCode"), request.get("MaxResults", _MOST)
    if code != "sagemaker":
        raise unsupported_operation(f"ListServiceQuotas of {code}")
    if not isinstance(size, int) or not 1 <= size <= _MOST:
        raise AwsError("IllegalArgumentException", f"MaxResults must be between 1 and {_MOST}")
    found = sorted(Quotas(context.store).listed().items())
    try:
        start = int(request.get("NextToken", "0"))
    except ValueError as error:
        raise AwsError("InvalidPaginationTokenException", "The NextToken is not valid.") from error
    answer: dict[str, object] = {
        "Quotas": [_quota(context, name, value) for name, value in found[start : start + size]]
    }
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return json_reply(answer)


def _quota(context: Context, name: str, value: int) -> dict[str, object]:
    """A `ServiceQuota`; its code is made from its name, AWS's is another."""
    code = f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"
    settings = context.settings
    return {
        "ServiceCode": "sagemaker",
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"arn:aws:servicequotas:{settings.region}:{settings.account}:sagemaker/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
