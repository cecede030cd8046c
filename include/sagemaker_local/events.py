"""SageMaker's events on EventBridge."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from include.sagemaker_local.context import Context

log = logging.getLogger(__name__)


def emit(context: Context, detail_type: str, resource_arn: str, detail: Mapping[str, object]) -> None:
    """Put an event of source `aws.sagemaker` on the default bus; rules deliver it (SQS, SNS, Logs).

    Private members (`_…`) of `detail` are left out. An event that cannot be delivered fails nothing, as on AWS; it is
    logged.
    """
    public = {name: value for name, value in detail.items() if not name.startswith("_")}
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": detail_type,
        "Resources": [resource_arn],
        "Detail": json.dumps(public),
        "Time": datetime.now(UTC),
    }
    try:
        context.client("events").put_events(Entries=[entry])
    except Exception:
        log.exception("event %s of %s was not delivered", detail_type, resource_arn)


def epoch_ms(detail: Mapping[str, Any], *members: str) -> dict[str, object]:
    """A copy with these times, epoch seconds, as the whole milliseconds that job events carry."""
    times = {name: int(detail[name] * 1000) for name in members if detail.get(name) is not None}
    return {**detail, **times}
