"""CreateModelPackage in another account, from the described version of this one.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
"""

from __future__ import annotations

import copy
import uuid
from typing import TYPE_CHECKING, cast

from sagemaker_retraining.plan import RunPlan, clean_tag
from sagemaker_retraining.requests.approval import PENDING
from sagemaker_retraining.s3_uri import is_s3_uri

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as sagemaker

# Who decided there and where it served there is not so here.
_OF_THE_SOURCE = ("decided_", "transition.", "served.")
_CARRIED_OVER = ("InferenceSpecification", "ModelMetrics", "DriftCheckBaselines", "Domain", "Task")
_LINEAGE = ("CommitId", "Repository", "GeneratedBy", "ProjectId")


def promoted_package(
    plan: RunPlan, source: sagemaker.DescribeModelPackageOutputTypeDef, *, source_environment: str, note: str
) -> tuple[sagemaker.CreateModelPackageInputTypeDef, dict[str, str]]:
    """The version's request in the plan's environment, and by source URI the target URI of what it needs there.

    It waits for a person there too: production has approvers of its own. The ClientToken follows from
    the source and the note, which the run's plan keeps: a retry finds what an earlier try registered, and a second
    promotion of the same version asks again.
    """
    arn = source["ModelPackageArn"]
    # Each group counts its versions from 1.
    version = f"{source['ModelPackageGroupName']}/{source['ModelPackageVersion']}"
    prefix = plan.uri(f"{plan.model.model}/promoted/{source_environment}/{version}/")
    carried_over = {key: copy.deepcopy(value) for key, value in source.items() if key in _CARRIED_OVER}
    request = cast("sagemaker.CreateModelPackageInputTypeDef", carried_over)
    for container in request["InferenceSpecification"]["Containers"]:
        container.pop("ImageDigest", None)
        container.pop("ModelDataETag", None)
        container["Image"] = _image(container["Image"], str(plan.model.image.uri))
    copies: dict[str, str] = {}
    _relocate(request, prefix, copies)
    metadata = {
        key: value
        for key, value in source.get("CustomerMetadataProperties", {}).items()
        if not key.startswith(_OF_THE_SOURCE)
    }
    facts = {
        "environment": plan.environment.environment,
        "source_version": arn,
        "source_environment": source_environment,
        "promoted": note,
    }
    lineage = {key: value for key, value in source.get("MetadataProperties", {}).items() if key in _LINEAGE}
    request["ModelPackageGroupName"] = plan.group
    request["ModelPackageDescription"] = f"{plan.model.model}: {arn} of {source_environment}"[:1024]
    request["CustomerMetadataProperties"] = {**metadata, **{key: clean_tag(value) for key, value in facts.items()}}
    request["MetadataProperties"] = cast("sagemaker.MetadataPropertiesTypeDef", lineage)
    request["ModelApprovalStatus"] = PENDING
    request["ClientToken"] = str(
        uuid.uuid5(uuid.NAMESPACE_URL, f"{arn} {plan.environment.account} {plan.group} {note}")
    )
    if plan.environment.kms_key_arn:
        request["SecurityConfig"] = {"KmsKeyId": plan.environment.kms_key_arn}
    return request, copies


def _image(source: str, target: str) -> str:
    """The same image of the target's region; a version is served by the image it was evaluated with."""
    return target if source.rpartition("/")[2] == target.rpartition("/")[2] else source


def _relocate(value: object, prefix: str, copies: dict[str, str]) -> None:
    """Let every S3 object of the request lie under `prefix`, in a folder of the same name."""
    if isinstance(value, list):
        for item in value:
            _relocate(item, prefix, copies)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str) and is_s3_uri(item):
                *_, folder, name = item.split("/")
                value[key] = copies[item] = f"{prefix}{folder}/{name}"
            else:
                _relocate(item, prefix, copies)
