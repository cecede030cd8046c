"""Disks of instances: which instance types have their own, and which key the others get.

A local (NVMe) disk is encrypted by the instance's hardware with a key of its own, and jobs take no other: "You can't
request a VolumeKmsKeyId when using an instance type with local storage" (API reference of ResourceConfig,
ProcessingClusterConfig and TransformResources). CreateEndpointConfig takes one, which then "does not encrypt instance
local storage"; a company's policies may demand it.
"""

from __future__ import annotations

import re

from sagemaker_retraining.plan import RunPlan

# A `d` behind the generation says so (m5d, c6gd, g4dn, p4de); of accelerated families all sizes have such disks, some
# without the letter. inf1, inf2 and g3 have none.
_LOCAL = re.compile(r"ml\.(?:[a-z]+\d+[a-z]*d[a-z]*|dl1|g[5-7]e?|gr6|i\d\w*|p5\w*|p6[\w-]*|trn\d\w*)\.")


def has_local_storage(instance_type: str) -> bool:
    """Whether instances of this type come with NVMe disks."""
    return _LOCAL.match(instance_type) is not None


def volume_key(plan: RunPlan, instance_type: str) -> str | None:
    """The key for the disks of a job's instances; None where there is none to give."""
    return None if has_local_storage(instance_type) else plan.environment.volume_kms_key_arn
