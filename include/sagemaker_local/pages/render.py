"""Renders the templates of this folder as replies. Jinja escapes every value that a template shows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.sagemaker_local.http.types import Reply

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def page(template: str, status: int = 200, /, **values: object) -> Reply:
    """The page that a template makes of these values. It runs no script and loads nothing."""
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", _POLICY)]
    return status, headers, _TEMPLATES.get_template(template).render(values).encode()


def _user_arn(user: Mapping[str, Mapping[str, str]] | None) -> str:
    """Of `CreatedBy` or `LastModifiedBy`."""
    return (user or {}).get("IamIdentity", {}).get("Arn", "-")


def _moment(seconds: float | None) -> str:
    """A time since the epoch as date and time in UTC, `-` when there is none."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds else "-"


def _duration(start: float | None, end: float | None) -> str:
    """The time from start to end, or until now when it has not ended; `-` when it has not begun."""
    if start is None:
        return "-"
    seconds = (end or time.time()) - start
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _indented(value: object) -> str:
    """The value as JSON; Jinja's own filter `tojson` would escape it for scripts."""
    return json.dumps(value, indent=2, ensure_ascii=False)


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"moment": _moment, "duration": _duration, "user_arn": _user_arn, "indented": _indented}
