"""What leaves the account in a recording: nothing that names it, a person, a network or a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACCOUNT = "123456789012"
BUCKET = "smoke-bucket"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sagemaker-retraining-local"
"""Those of the local SageMaker, so that a recording can be replayed there as it is."""

REMOVED = "removed"
_BLANKED = frozenset({"ClientToken", "NextToken", "SessionToken", "SecretAccessKey", "AccessKeyId"})
_PEOPLE = frozenset({"CreatedBy", "LastModifiedBy"})
_TEXTS = (
    (re.compile(r"([?&]X-Amz-[A-Za-z-]+=)[^&\s\"']+"), rf"\1{REMOVED}"),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), REMOVED),
    (re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::\d*:(?:user|assumed-role|federated-user)/[^\s\"',)]+"), REMOVED),
    (re.compile(r"(Encoded authorization failure message:) [\w-]+"), rf"\1 {REMOVED}"),
    (re.compile(r"\b(subnet|sg|vpc|vpce|eni)-[0-9a-f]{8,17}\b"), rf"\1-{'0' * 17}"),
)


@dataclass(frozen=True)
class Redactor:
    """Replaces the account, the bucket and the environment's roles, and removes secrets, in what is ready for JSON."""

    account: str
    bucket: str
    roles: tuple[str, ...]

    def __call__(self, value: Any) -> Any:
        """A redacted copy."""
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._member(str(key), item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _member(self, name: str, value: Any) -> Any:
        if name in _BLANKED:
            return REMOVED
        if name in _PEOPLE and isinstance(value, Mapping):
            return _blank(value)
        return self(value)

    def text(self, text: str) -> str:
        """One string."""
        replaced = {**dict.fromkeys(self.roles, ROLE), self.bucket: BUCKET, self.account: ACCOUNT}
        names = "|".join(re.escape(name) for name in replaced)  # a role's ARN holds the account: longest first
        text = re.sub(rf"(?<![0-9A-Za-z])(?:{names})(?![0-9A-Za-z])", lambda found: replaced[found[0]], text)
        for pattern, replacement in _TEXTS:
            text = pattern.sub(replacement, text)
        return text


def _blank(value: Any) -> Any:
    """The members, without what they say."""
    return {key: _blank(item) for key, item in value.items()} if isinstance(value, Mapping) else REMOVED
