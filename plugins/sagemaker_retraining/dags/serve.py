"""The tasks that bring a version to an endpoint, shared by all DAGs that do."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from sagemaker_retraining.config import EnvironmentConfig
from sagemaker_retraining.operators.cleanup import CleanUpOperator
from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.verify import VerifyEndpointOperator


def deploy_and_verify(
    environment: EnvironmentConfig,
    plan: Any,
    *,
    model_package_arn: Any,
    sample_uri: Any,
    replace_newer: bool | str = False,
    going_back: bool = False,
    **hook: Any,
) -> list[BaseOperator]:
    """`deploy`, `verify` and `cleanup`, to be chained.

    Cleaning up is the teardown of deploy: it runs whatever verify says, not without a deployment, and its own failure
    fails neither the run nor hides one. `hook` replaces the environment's connection.
    """
    where = {"aws_conn_id": environment.aws_conn_id, "region_name": environment.region, **hook}
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
