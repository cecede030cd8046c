"""The table of what Amazon SageMaker does beyond its API model: one row per fact, in tests/truth/facts/*.yaml.

Each fact comes from a public source that met the service. A test that checks a row carries
`@pytest.mark.aws_fact("<id>")`; docs/local-sagemaker.md is generated from the rows that differ (differences.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

FACTS = Path(__file__).with_name("facts")

Text = Annotated[str, StringConstraints(min_length=3, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Fact(BaseModel):
    """One row.

    `status` is `agrees` (the local SageMaker does what AWS does, and the package copes with it), `differs` (`reason`
    says why, or "not yet"), `unverified` (nobody knows what AWS does; `ours` says what happens here) or
    `not-implemented`. `untested` is the reason why a row that agrees has no test; `probe` names the request of
    `make aws-smoke` that would answer it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    fact: Text
    source: Text
    confidence: Literal["high", "medium", "low"]
    status: Literal["agrees", "differs", "unverified", "not-implemented"]
    reason: Text | None = None
    ours: Text | None = None
    untested: Text | None = None
    probe: Name | None = None

    @model_validator(mode="after")
    def _status_explained(self) -> Fact:
        if (self.reason is not None) != (self.status == "differs"):
            raise ValueError(f"{self.id}: `reason` belongs to status differs, and to no other")
        if self.ours is None and self.status in ("differs", "unverified"):
            raise ValueError(f"{self.id}: `ours` must say what happens here (status {self.status})")
        if self.untested is not None and self.status != "agrees":
            raise ValueError(f"{self.id}: `untested` belongs to status agrees")
        return self


def areas() -> dict[str, list[Fact]]:
    """The rows by area (the name of their file), in the files' order."""
    return {
        path.stem: [Fact.model_validate(row) for row in yaml.safe_load(path.read_text(encoding="utf-8"))]
        for path in sorted(FACTS.glob("*.yaml"))
    }


def every_fact() -> list[Fact]:
    """All rows of the table."""
    return [fact for facts in areas().values() for fact in facts]
