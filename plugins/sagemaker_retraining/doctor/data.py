"""Raw data: whether the newest month is complete, and which months a run of it would miss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.errors import code_of
from sagemaker_retraining.doctor.findings import Check, Finding, ok, wrong
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan.document import DataReadyConfig
from sagemaker_retraining.raw_months import SUCCESS, History, complete_months, month_of
from sagemaker_retraining.s3_uri import split_s3_uri

HEADS_AT_ONCE = 16


def data_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """One for each model."""
    for model in scope.models:
        config = scope.plans[model.model]["data_ready"]
        subject = f"raw data of {model.model}"
        uri = f"s3://{config['bucket']}/{config['raw_prefix']}"
        yield Check(subject, partial(_look, aws, scope, config, uri, subject))


def _look(aws: Aws, scope: Scope, config: DataReadyConfig, uri: str, subject: str) -> Iterator[Finding]:
    newest = Period.parse(config["period"])
    try:
        names = marks(aws.client("s3"), *split_s3_uri(uri))
    except ClientError as error:
        if code_of(error) != "NoSuchBucket":
            raise
        yield wrong(subject, f"{uri}: there is no such bucket")
        return
    if not scope.environment.wait_for_data:  # nobody delivers new months: what is there will be run
        newest = max((month for month in complete_months(names) if month < newest), default=newest)
    yield judge_raw_data(subject, uri, names, newest, config["history_months"])


def marks(s3: Any, bucket: str, prefix: str) -> list[str]:
    """The names of the `_SUCCESS` objects below a prefix: `period=2013-11/_SUCCESS`. Raises ClientError.

    One request for each month, not a listing of everything: a month may have thousands of files.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}period=", Delimiter="/")
    folders = [item["Prefix"].removeprefix(prefix) for page in pages for item in page.get("CommonPrefixes", [])]
    names = [f"{folder}{SUCCESS}" for folder in folders if month_of(folder)]

    def is_there(name: str) -> bool:
        return bool(s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}{name}", MaxKeys=1).get("Contents"))

    with ThreadPoolExecutor(HEADS_AT_ONCE) as threads:
        return [name for name, there in zip(names, threads.map(is_there, names), strict=True) if there]


def judge_raw_data(subject: str, uri: str, names: Sequence[str], newest: Period, history_months: int | None) -> Finding:
    """Whether the raw data suffice for the newest month, by the rules of the task data_ready."""
    months = complete_months(list(names))
    span = f"complete months are {months[0]} to {months[-1]}" if months else "no month is complete"
    if newest not in months:
        return wrong(subject, f"{uri}period={newest}/{SUCCESS} is not there; {span}. Deliver it, {SUCCESS} last")
    history = History.of(list(names), newest, history_months)
    gaps = ", ".join(map(str, history.missing))
    if not history.months:
        return wrong(subject, f"{uri}: no complete month before {newest} to learn from; deliver the ones before it")
    if gaps and history_months:
        return wrong(subject, f"{uri}: history_months {history_months} of {newest} lacks {gaps}; deliver them")
    hint = f"; not there: {gaps}" if gaps else ""
    return ok(subject, f"{newest} and {len(history.months)} months before it, from {history.months[0]}{hint}")
