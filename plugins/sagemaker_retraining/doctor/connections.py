"""Airflow's connections, as far as environment variables hold them: the command line starts without Airflow.

https://airflow.apache.org/docs/apache-airflow-providers-amazon/stable/connections/aws.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sagemaker_retraining.config import EnvironmentConfig
from sagemaker_retraining.doctor.findings import Check, Finding, ok, unknown, wrong


@dataclass(frozen=True)
class Connection:
    """What a connection's text says; people may put anything into its `extra`."""

    conn_type: str
    login: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Connection:
        """JSON or a URI, as Airflow takes both. Raises ValueError for neither."""
        if text.lstrip().startswith("{"):
            value = json.loads(text)
            extra = value.get("extra") or {}
            extra = json.loads(extra) if isinstance(extra, str) else extra
            return cls(str(value.get("conn_type", "")), value.get("login"), extra)
        uri = urlsplit(text)
        if not uri.scheme:
            raise ValueError("neither JSON nor a URI")
        query = dict(parse_qsl(uri.query, keep_blank_values=True))
        extra = json.loads(query["__extra__"]) if "__extra__" in query else query
        return cls(uri.scheme, unquote(uri.username) if uri.username else None, extra)


def variable_of(connection: str) -> str:
    """The environment variable in which Airflow looks for a connection."""
    return f"AIRFLOW_CONN_{connection.upper()}"


def connection_checks(environment: EnvironmentConfig, variables: Mapping[str, str]) -> Iterator[Check]:
    """One for each connection of the environment."""
    for key in ("aws_conn_id", "approver_conn_id"):
        if name := getattr(environment, key):
            yield Check(f"{key} {name}", partial(_look, environment, f"{key} {name}", name, variables))


def role_of(connection: str, variables: Mapping[str, str]) -> str | None:
    """The role that a connection assumes, when an environment variable says so."""
    try:
        found = Connection.parse(variables.get(variable_of(connection), ""))
    except ValueError:
        return None
    role = found.extra.get("role_arn")
    return str(role) if role else None


def _look(environment: EnvironmentConfig, subject: str, name: str, variables: Mapping[str, str]) -> Iterator[Finding]:
    text = variables.get(variable_of(name))
    if text is None:
        yield unknown(
            subject,
            f"{variable_of(name)} is not set here; where Airflow runs: airflow connections get {name}"
            + ("; without it tasks use the credentials of the worker" if name == "aws_default" else ""),
        )
        return
    try:
        yield judge_connection(subject, environment, Connection.parse(text))
    except ValueError as error:
        yield wrong(subject, f"{variable_of(name)} is no connection: {error}")


def judge_connection(subject: str, environment: EnvironmentConfig, found: Connection) -> Finding:
    """What a task would find. A region in the connection does no harm: tasks name the environment's region."""
    if found.conn_type != "aws":
        return wrong(subject, f"its type is {found.conn_type!r}, it must be aws")
    if url := found.extra.get("endpoint_url"):
        return ok(subject, f"everything goes to {url}")
    role = str(found.extra.get("role_arn") or "")
    if role and f"::{environment.account}:" not in role:
        return wrong(subject, f"it assumes {role}, which is not of account {environment.account}")
    if role:
        return ok(subject, f"it assumes {role}")
    if found.login:
        return ok(subject, f"it has access key {found.login} of its own; a role (extra role_arn) needs no secret")
    return ok(subject, "it uses the credentials of the worker")
