"""Which operations are answered here instead of by moto."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from include.sagemaker_local.aws.overrides.log_events import filter_log_events, get_log_events
from include.sagemaker_local.aws.overrides.service_quotas import list_service_quotas
from include.sagemaker_local.aws.overrides.simulate import simulate_principal_policy
from include.sagemaker_local.aws.overrides.tagging import get_resources
from include.sagemaker_local.context import Context
from include.sagemaker_local.http.types import Environ, Reply

Override = Callable[[Environ, Callable[[Environ], Reply]], Reply]
"""Answers a request itself; it may let moto answer one, with the function that it is given."""


def overrides(context: Context) -> dict[tuple[str, str], Override]:
    """The overrides by the service's signing name and the operation."""
    answers = {
        ("logs", "FilterLogEvents"): filter_log_events,
        ("logs", "GetLogEvents"): get_log_events,
        ("iam", "SimulatePrincipalPolicy"): simulate_principal_policy,
        ("servicequotas", "ListServiceQuotas"): list_service_quotas,
        ("tagging", "GetResources"): get_resources,
    }
    return {operation: partial(answer, context) for operation, answer in answers.items()}
