"""The tasks that bring a version to an endpoint, shared by all DAGs that do."""

from __future__ import annotations

from typing import Any, TypedDict

from airflow.sdk import BaseOperator

from sagemaker_retraining.config import EnvironmentConfig
from sagemaker_retraining.operators.cleanup import CleanUpOperator
from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.verify import VerifyEndpointOperator


class Connection(TypedDict):
    """With what a task reaches AWS."""

    aws_conn_id: str
    region_name: str


def connection_of(environment: EnvironmentConfig) -> Connection:
    """The environment's connection."""
    return {"aws_conn_id": environment.aws_conn_id, "region_name": environment.region}


def deploy_and_verify(
    environment: EnvironmentConfig,
    plan: Any,
    *,
    model_package_arn: Any,
    sample_uri: Any,
    replace_newer: bool | str = False,
    going_back: bool = False,
    connection: Connection | None = None,
) -> list[BaseOperator]:
    """`deploy`, `verify` and `cleanup`, to be chained.

    Cleaning up is the teardown of deploy: it runs however verify ends, not without a deployment, and its own failure
    neither fails the run nor hides the failure of another task. `connection` replaces the environment's.
    """
    where = connection or connection_of(environment)
    poll = environment.poll_seconds.endpoint
    deploy = DeployEndpointOperator(
        task_id="deploy",
        config=plan["deploy"],
        model_package_arn=model_package_arn,
        poll_seconds=poll,
        replace_newer=replace_newer,
        going_back=going_back,
        **where,
    )
    verify = VerifyEndpointOperator(
        task_id="verify",
        config=plan["verify"],
        deployment=output(deploy),
        sample_uri=sample_uri,
        poll_seconds=poll,
        **where,
    )
    cleanup = CleanUpOperator(task_id="cleanup", config=plan["cleanup"], **where).as_teardown(setups=deploy)
    return [deploy, verify, cleanup]


def output(operator: BaseOperator) -> Any:
    """The XCom of an operator, as an argument of a later one: rendered, it is the value."""
    return operator.output
