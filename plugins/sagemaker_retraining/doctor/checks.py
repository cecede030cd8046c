"""All checks, in the order in which somebody would repair what they find."""

from __future__ import annotations

from collections.abc import Mapping

from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.bucket import bucket_checks
from sagemaker_retraining.doctor.connections import connection_checks
from sagemaker_retraining.doctor.data import data_checks
from sagemaker_retraining.doctor.findings import Check
from sagemaker_retraining.doctor.images import image_checks
from sagemaker_retraining.doctor.keys import key_checks
from sagemaker_retraining.doctor.network import network_checks
from sagemaker_retraining.doctor.ownership import ownership_checks
from sagemaker_retraining.doctor.permissions import permission_checks
from sagemaker_retraining.doctor.quotas import quota_checks
from sagemaker_retraining.doctor.roles import role_checks
from sagemaker_retraining.doctor.scope import Scope


def checks(aws: Aws, scope: Scope, variables: Mapping[str, str]) -> list[Check]:
    """Everything beyond credentials and files; `variables` are those of the process."""
    return [
        *connection_checks(scope.environment, variables),
        *role_checks(aws, scope),
        *permission_checks(aws, scope),
        *bucket_checks(aws, scope),
        *key_checks(aws, scope),
        *network_checks(aws, scope),
        *image_checks(aws, scope),
        *quota_checks(aws, scope),
        *ownership_checks(aws, scope),
        *data_checks(aws, scope),
    ]
