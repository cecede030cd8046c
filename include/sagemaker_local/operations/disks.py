"""A job's instances, and the keys for their disks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from moto.utilities.utils import load_resource

from include.sagemaker_local.errors import validation_error
from include.sagemaker_local.operations.table import Request


def check_volume_key(request: Request) -> None:
    """Raise ValidationException for a key for disks that encrypt themselves; the text is the API reference's.

    Which instance types have them is in moto's copy of EC2's DescribeInstanceTypes. CreateEndpointConfig takes a key.
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
    """Names such as `m5d.large`. moto's table has much more about them."""
    types: Mapping[str, Mapping[str, object]] = load_resource("ec2/resources/instance_types.json")
    return frozenset(name for name, facts in types.items() if facts.get("InstanceStorageSupported"))


def cluster(body: Request) -> Request:
    """What a job of any kind, or the request for one, says about its instances."""
    processing = body.get("ProcessingResources", {}).get("ClusterConfig")
    found: Request = processing or body.get("ResourceConfig") or body.get("TransformResources") or {}
    return found
