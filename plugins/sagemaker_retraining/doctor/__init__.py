"""What a platform engineer wants to know before the first run on AWS: reads only, changes nothing, costs nothing.

A module for each family of checks. Each describes what is there and judges it in a function of its own.
"""

from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.checks import checks
from sagemaker_retraining.doctor.findings import Check, Finding, Status, findings_of, ok, unknown, wrong
from sagemaker_retraining.doctor.identity import Caller, Stop, who_am_i
from sagemaker_retraining.doctor.scope import Scope

__all__ = [
    "Aws",
    "Caller",
    "Check",
    "Finding",
    "Scope",
    "Status",
    "Stop",
    "checks",
    "findings_of",
    "ok",
    "unknown",
    "who_am_i",
    "wrong",
]
