"""UpdateModelPackage that notes in a version who put it into service, or took it out, and why.

Beside the decisions (`transition.<nn>`, see `approval.py`) a version keeps `served.<nn>`:
"<ISO time> <version before>-<version after> by <who> from <channel>: <reason>". Channel `deploy` is its first time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sagemaker_retraining.plan import clean_tag

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef, UpdateModelPackageInputTypeDef

DEPLOY, ROLLBACK, PROMOTION = "deploy", "rollback", "promotion"
MOST_LINES = 5
"""So many of the newest are kept: a version takes 50 metadata entries in all."""
_NAME = re.compile(r"served\.(\d{2,})")


def served_line(*, before: str | None, after: str, by: str, channel: str, reason: str, at: datetime) -> str:
    """One line; texts that SageMaker refuses are replaced."""
    moment, why = at.astimezone(UTC).isoformat(), " ".join(reason.split())
    return clean_tag(f"{moment} {before or 'none'}-{after} by {by} from {channel}: {why}").strip()


def served_request(package: DescribeModelPackageOutputTypeDef, line: str) -> UpdateModelPackageInputTypeDef:
    """The request for a described version."""
    numbers = sorted(int(found[1]) for key in package.get("CustomerMetadataProperties", {}) if (found := _match(key)))
    key = f"served.{(numbers[-1] if numbers else 0) + 1:02}"
    request: UpdateModelPackageInputTypeDef = {
        "ModelPackageArn": package["ModelPackageArn"],
        "CustomerMetadataProperties": {key: line},
    }
    if old := numbers[: -(MOST_LINES - 1)]:
        request["CustomerMetadataPropertiesToRemove"] = [f"served.{number:02}" for number in old]
    return request


def is_noted(package: DescribeModelPackageOutputTypeDef, line: str) -> bool:
    """Whether an earlier try wrote the line already; a promoted version has it as `promoted` from the beginning."""
    return any(_match(key) and text == line for key, text in package.get("CustomerMetadataProperties", {}).items())


def has_served(package: DescribeModelPackageOutputTypeDef) -> bool:
    """Whether a described version is known to have been in service, and to have answered as it should.

    A promotion is noted in the version it comes from too, which need not have served where it comes from.
    """
    facts = package.get("CustomerMetadataProperties", {})
    here = rf"-{re.escape(facts['environment'])} by .* from {PROMOTION}:" if "environment" in facts else None
    return any(
        re.search(rf" from (?:{DEPLOY}|{ROLLBACK}):", line) or (here and re.search(here, line))
        for key, line in facts.items()
        if _match(key)
    )


def _match(key: str) -> re.Match[str] | None:
    return _NAME.fullmatch(key)
