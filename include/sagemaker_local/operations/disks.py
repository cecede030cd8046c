"""A job's instances, and the keys for their disks."""

from __future__ import annotations

from functools import cache
from typing import Any

from moto.utilities.utils import load_resource

from include.sagemaker_local.context import Request
from include.sagemaker_local.errors import validation_error


def check_volume_key(request: Request) -> None:
    """Raise ValidationException for a key for disks that encrypt themselves; the text is the API reference's.

    Which instance types have them is what EC2's DescribeInstanceTypes said to moto. CreateEndpointConfig takes a key.
    """
    instances = cluster(request)
    if not instances.get("VolumeKmsKeyId"):
        return
    instance_type = str(instances.get("InstanceType", ""))
    if instance_type.removeprefix("ml.") in _with_local_storage():
        raise validation_error(
            f"You can't request a VolumeKmsKeyId when using an instance type with local storage: {instance_type}."
        )


@cache
def _with_local_storage() -> frozenset[str]:
    """Names such as `m5d.large`. moto has much more to say of them."""
    types: dict[str, Any] = load_resource("ec2/resources/instance_types.json")
    return frozenset(name for name, said in types.items() if said.get("InstanceStorageSupported"))


def cluster(body: dict[str, Any]) -> dict[str, Any]:
    """What a job of any kind, or the request for one, says of its instances."""
    processing = body.get("ProcessingResources", {}).get("ClusterConfig")
    found: dict[str, Any] = processing or body.get("ResourceConfig") or body.get("TransformResources") or {}
    return found
