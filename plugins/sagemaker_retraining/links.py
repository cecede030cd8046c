"""Buttons in Airflow's UI that lead to the job and its log: AWS's console, or the local SageMaker's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from sagemaker_retraining.s3_uri import split_s3_uri

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from sagemaker_retraining.hooks import JobKind, RetrainingHook

_PAGES = {"Training": "jobs", "Processing": "processing-jobs", "Transform": "transform-jobs"}


class JobLink(BaseOperatorLink):
    """The job's page."""

    name = "SageMaker job"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address that the task stored when it had submitted the job; empty before."""
        address: str | None = XCom.get_value(key=self.xcom_key, ti_key=ti_key)
        return address or ""


class JobLogLink(JobLink):
    """The job's log lines."""

    name = "SageMaker job log"


class ReportLink(JobLink):
    """The evaluation's report."""

    name = "Evaluation report"


class VersionLink(JobLink):
    """The version in the Model Registry."""

    name = "Model version"


def job_addresses(hook: RetrainingHook, kind: JobKind, job: str) -> dict[str, str]:
    """`{xcom key: address}` of both links; empty in a partition whose console's address nobody knows."""
    endpoint: Any = hook.conn_config.endpoint_url
    if endpoint:
        page = f"{endpoint.rstrip('/')}/_local/jobs/{kind.name.lower()}/{job}"
        return {JobLink().xcom_key: page, JobLogLink().xcom_key: f"{page}#log"}
    region, console = _console(hook)
    if console is None:
        return {}
    # The console reads its own address twice: $ is the % of the first time, $25 that of the second.
    group, stream = (quote(part, safe="").replace("%", "$25") for part in (kind.log_group, f"{job}/"))
    streams = f"logsV2:log-groups/log-group/{group}$3FlogStreamNameFilter$3D{stream}"
    return {
        JobLink().xcom_key: f"{console}/sagemaker/home?region={region}#/{_PAGES[kind.name]}/{job}",
        JobLogLink().xcom_key: f"{console}/cloudwatch/home?region={region}#{streams}",
    }


def report_address(hook: RetrainingHook, uri: str) -> str:
    """Where a browser shows an object: S3's console (*Open*), or the local SageMaker; the URI where neither is."""
    bucket, key = split_s3_uri(uri)
    key = quote(key)
    endpoint: Any = hook.conn_config.endpoint_url
    if endpoint:
        return f"{endpoint.rstrip('/')}/_local/objects/{bucket}/{key}"
    region, console = _console(hook)
    return f"{console}/s3/object/{bucket}?region={region}&prefix={key}" if console else uri


def version_address(hook: RetrainingHook, arn: str) -> str:
    """The local SageMaker's page of a version; on AWS the way into Studio, outside of which versions have no page."""
    endpoint: Any = hook.conn_config.endpoint_url
    if endpoint:
        return f"{endpoint.rstrip('/')}/_local/models/{arn.split(':model-package/', 1)[-1]}"
    region, console = _console(hook)
    return f"{console}/sagemaker/home?region={region}#/studio-landing" if console else arn


def _console(hook: RetrainingHook) -> tuple[str, str | None]:
    """The client's own region, which the connection may leave to AWS_DEFAULT_REGION, and its console, if known."""
    region, domain = str(hook.conn_region_name), BaseAwsLink.get_aws_domain(hook.conn_partition)
    return region, f"https://{region}.console.{domain}" if domain else None
