"""Catches what the local SageMaker tells EventBridge."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.conftest import LocalSageMaker


def events_of(server: LocalSageMaker, name: str, pattern: dict[str, Any]) -> Callable[[int], list[dict[str, Any]]]:
    """A rule with this pattern, to be asked for the details of the events it matched, oldest first: exactly so many."""
    sqs, rules = server.client("sqs"), server.client("events")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    rules.put_rule(Name=name, EventPattern=json.dumps(pattern))
    rules.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{name}"}])

    def received(count: int) -> list[dict[str, Any]]:
        """A job shows its status before its event is delivered: hence the wait for so many."""
        found: list[dict[str, Any]] = []
        while messages := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=10 if len(found) < count else 0
        ).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
        rules.remove_targets(Rule=name, Ids=["q"])
        assert len(found) == count, found
        return [event["detail"] for event in found]

    return received
