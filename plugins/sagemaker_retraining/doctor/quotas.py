"""Quotas of instances: what the models of an environment ask for, and what the account has.

https://docs.aws.amazon.com/general/latest/gr/sagemaker.html. In a new account many are 0, and each usage has its own:
Spot training, training on demand, processing, transform jobs, endpoints.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil

from sagemaker_retraining.config import ModelConfig
from sagemaker_retraining.doctor.aws import Aws
from sagemaker_retraining.doctor.findings import Check, Finding, ok, unknown, wrong
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.plan import PlanDocument

SUBJECT = "quotas"
TRAINING, SPOT, PROCESSING = "training job usage", "spot training job usage", "processing job usage"
TRANSFORM, ENDPOINT = "transform job usage", "endpoint usage"
_PAGE = 100


@dataclass
class Need:
    """Instances that one quota must allow: those of each model, and what an endpoint's update needs in addition."""

    models: dict[str, int] = field(default_factory=dict)
    update: int = 0

    @property
    def total(self) -> int:
        """All DAGs start on the 1st at 06:00, so all models need their instances at once."""
        return sum(self.models.values()) + self.update


@dataclass(frozen=True)
class Quota:
    """What the account may use at a time, and the code by which more is asked for."""

    value: float
    code: str


def quota_checks(aws: Aws, scope: Scope) -> Iterator[Check]:
    """One check, with a finding for each quota that is too small."""
    yield Check(SUBJECT, partial(_look, aws, scope))


def _look(aws: Aws, scope: Scope) -> Iterator[Finding]:
    wanted = needs(scope.plans, {model.model for model in scope.models if _may_leave_spot(model)})
    pages = aws.client("service-quotas").get_paginator("list_service_quotas")
    found: dict[str, Quota] = {}
    for page in pages.paginate(ServiceCode="sagemaker", PaginationConfig={"PageSize": _PAGE}):
        found |= {quota["QuotaName"]: Quota(quota["Value"], quota["QuotaCode"]) for quota in page["Quotas"]}
        if wanted.keys() <= found.keys():
            break  # there are thousands
    yield from judge_quotas(wanted, found)


def _may_leave_spot(model: ModelConfig) -> bool:
    spot = model.train.spot
    return spot.on_demand_after != "never" or spot.on_demand_after_hours is not None


def needs(plans: Mapping[str, PlanDocument], on_demand: set[str]) -> dict[str, Need]:
    """What is needed, by the quota's name. `on_demand` are models whose training may change from Spot to on demand."""
    found: dict[str, Need] = defaultdict(Need)
    for model, plan in plans.items():
        for usage, instance_type, count in _steps(plan, model in on_demand):
            need = found[f"{instance_type} for {usage}"]
            need.models[model] = max(need.models.get(model, 0), count)  # a model's own steps come one after the other
        for instance_type, count, update in _variants(plan):
            need = found[f"{instance_type} for {ENDPOINT}"]
            need.models[model] = need.models.get(model, 0) + count
            need.update = max(need.update, update)
    return dict(found)


def _steps(plan: PlanDocument, on_demand: bool) -> Iterator[tuple[str, str, int]]:
    """Usage, instance type and number of instances of each job."""
    for job in (plan["preprocess"], plan["evaluate"]):
        cluster = job["ProcessingResources"]["ClusterConfig"]
        yield PROCESSING, cluster["InstanceType"], cluster["InstanceCount"]
    resources = plan["train"]["ResourceConfig"]
    spot = plan["train"].get("EnableManagedSpotTraining", False)
    if spot:
        yield SPOT, resources["InstanceType"], resources["InstanceCount"]
    if on_demand or not spot:
        yield TRAINING, resources["InstanceType"], resources["InstanceCount"]
    if "transform" in plan:
        batch = plan["transform"]["transform"]["TransformResources"]
        yield TRANSFORM, batch["InstanceType"], batch["InstanceCount"]


def _variants(plan: PlanDocument) -> Iterator[tuple[str, int, int]]:
    """Instance type, the most instances, and how many more an update needs while it runs."""
    deploy = plan.get("deploy", {})
    scaling = deploy.get("autoscaling", {}).get("RegisterScalableTarget", {})
    for variant in deploy.get("endpoint_config", {}).get("ProductionVariants", []):
        if "InstanceType" in variant:
            count = max(variant["InitialInstanceCount"], scaling.get("MaxCapacity", 0))
            beside = variant["InitialInstanceCount"] if "challenger" in deploy else 0
            rolling = deploy.get("deployment", {}).get("RollingUpdatePolicy", {}).get("MaximumBatchSize")
            update = ceil(count * rolling["Value"] / 100) if rolling else count + beside
            yield variant["InstanceType"], count + beside, update


def judge_quotas(wanted: Mapping[str, Need], found: Mapping[str, Quota]) -> Iterator[Finding]:
    """A finding for each quota that is too small or not listed, and one for all that suffice."""
    enough = []
    for name, need in sorted(wanted.items()):
        if name not in found:
            yield unknown(SUBJECT, f"Service Quotas does not list {name!r}; {need.total} are needed")
        elif found[name].value >= need.total:
            enough.append(f"{name} {found[name].value:g}")
        else:
            advice = f"--service-code sagemaker --quota-code {found[name].code} --desired-value {need.total}"
            advice = f"aws service-quotas request-service-quota-increase {advice}"
            yield wrong(SUBJECT, f"{name} is {found[name].value:g}, needed {_why(need)}; {advice}")
    if enough:
        yield ok(SUBJECT, f"suffice: {', '.join(enough)}")


def _why(need: Need) -> str:
    parts = [f"{count} for {model}" for model, count in need.models.items()]
    if need.update:
        parts.append(f"{need.update} while an update runs old and new side by side")
    return f"{need.total} ({', '.join(parts)})" if len(parts) > 1 else f"{need.total}"
