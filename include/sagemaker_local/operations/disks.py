"""Keys for the disks of a job's instances."""

from __future__ import annotations

from typing import Any

from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.service import Request


def check_volume_key(request: Request) -> None:
    """Raise ValidationException for a key for disks that encrypt themselves; the text is the API reference's.

    Which instance types have them is what EC2's DescribeInstanceTypes said to moto. CreateEndpointConfig takes a key.
    """
    cluster = _cluster(request)
    if not cluster.get("VolumeKmsKeyId"):
        return
    from moto.ec2.models.instance_types import INSTANCE_TYPES  # many MB that hardly anybody needs

    instance_type = str(cluster.get("InstanceType", ""))
    if INSTANCE_TYPES.get(instance_type.removeprefix("ml."), {}).get("InstanceStorageSupported"):
        raise validation_error(
            f"You can't request a VolumeKmsKeyId when using an instance type with local storage: {instance_type}."
        )


def _cluster(request: Request) -> dict[str, Any]:
    processing = request.get("ProcessingResources", {}).get("ClusterConfig")
    found: dict[str, Any] = processing or request.get("ResourceConfig") or request.get("TransformResources") or {}
    return found
