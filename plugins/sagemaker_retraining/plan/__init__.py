"""From configuration and period to one run's plan: names, S3 layout, tags, code, fingerprints."""

from sagemaker_retraining.plan.code_package import CodePackage, code_files, package_code
from sagemaker_retraining.plan.document import PlanDocument
from sagemaker_retraining.plan.names import (
    clean_tag,
    fingerprint,
    on_demand,
    ownership,
    short_hash,
    tag_list,
    with_generation,
)
from sagemaker_retraining.plan.run import Champion, PlanError, RunPlan, build_plan, raw_uri

__all__ = [
    "Champion",
    "CodePackage",
    "PlanDocument",
    "PlanError",
    "RunPlan",
    "build_plan",
    "clean_tag",
    "code_files",
    "fingerprint",
    "on_demand",
    "ownership",
    "package_code",
    "raw_uri",
    "short_hash",
    "tag_list",
    "with_generation",
]
