"""From a step's `retry` in model.yaml to Airflow's retry policy."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from sagemaker_retraining.config.model import Retry
from sagemaker_retraining.outcomes import ERRORS, Outcome
from sagemaker_retraining.requests import RequestError


class RetryArguments(TypedDict):
    """The arguments of an operator that decide on its retries."""

    retries: int
    retry_delay: timedelta
    retry_policy: ExceptionRetryPolicy


def retry_arguments(retry: Retry) -> RetryArguments:
    """The retries of a task that runs a job.

    An outcome in `retry.on` is tried again, every other outcome and a request that is wrong fail at once. What is
    none of these (a worker that died, a network that went away) is tried again as Airflow does by itself.
    """
    worth = {Outcome[name.upper()] for name in retry.on}
    again: list[type[BaseException] | str] = [error for outcome, error in ERRORS.items() if outcome in worth]
    never: list[type[BaseException] | str] = [error for outcome, error in ERRORS.items() if outcome not in worth]
    rules = [RetryRule(exception=[*never, RequestError], action=RetryAction.FAIL, reason="the same would happen again")]
    if again:
        rules.append(RetryRule(exception=again, action=RetryAction.RETRY, reason="may end well the next time"))
    return {
        "retries": retry.count,
        "retry_delay": timedelta(seconds=retry.delay_seconds),
        "retry_policy": ExceptionRetryPolicy(rules=rules),
    }
