"""CreateModelPackageGroup and CreateModelPackage.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html

SourceUri stays out: it names another model package to clone, or a SageMaker model; a version from a training job has
neither.
"""

from __future__ import annotations

import copy
import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from sagemaker_retraining.config.load import INFERENCE_SCRIPT
from sagemaker_retraining.gate import GateResult
from sagemaker_retraining.outcomes import ProcessingResult, TrainingResult
from sagemaker_retraining.plan import RunPlan, clean_tag
from sagemaker_retraining.raw_months import RawData
from sagemaker_retraining.requests.approval import PENDING, QUALITY_GATE, REJECTED
from sagemaker_retraining.requests.model_card import completed_card, planned_card
from sagemaker_retraining.requests.processing import EVALUATION, REPORT

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import type_defs as sagemaker
    from mypy_boto3_sagemaker.literals import ProductionVariantInstanceTypeType, TransformInstanceTypeType

# CustomerMetadataProperties takes 50 entries: 17 facts, the metrics, 13 about the decision with its history, 3 of a
# promotion, and 5 about where the version served.
MOST_METRICS = 12
# What says that a group belongs to one model of one project.
OWNERSHIP_TAGS = ("project", "model")
# (block, member) of ModelMetrics and DriftCheckBaselines, and the URI that goes there.
MetricSource = tuple[Literal["ModelQuality", "ModelDataQuality"], Literal["Statistics", "Constraints"]]
MetricSources = dict[MetricSource, str]
STATISTICS: MetricSource = ("ModelQuality", "Statistics")


@dataclass(frozen=True)
class RunResults:
    """The XComs of the tasks before `register`, by the names of the operator's arguments."""

    training: TrainingResult
    gate: GateResult
    raw_data: RawData
    evaluation: ProcessingResult
    preprocess: ProcessingResult

    @property
    def artifact(self) -> str:
        """The URI of the model.tar.gz that is registered."""
        return str(self.training["model_artifact"])

    @property
    def evaluation_uri(self) -> str:
        """Where evaluation.json is."""
        return f"{self.evaluation['outputs']['evaluation']}{EVALUATION}"


def group_request(plan: RunPlan) -> sagemaker.CreateModelPackageGroupInputTypeDef:
    """The group of a model's versions. Versions take no tags, so the group has them."""
    description = plan.model.description or f"Versions of {plan.model.model}"
    return {
        "ModelPackageGroupName": plan.group,
        "ModelPackageGroupDescription": description,
        "Tags": plan.resource_tags,
    }


def foreign_tags(wanted: Sequence[sagemaker.TagTypeDef], found: Sequence[sagemaker.TagTypeDef]) -> list[str]:
    """Tags of an existing group that say it is another project's or model's.

    A group without these tags says nothing, and is taken for ours: somebody made it by hand.
    """
    ours = {tag["Key"]: tag["Value"] for tag in wanted}
    theirs = {tag["Key"]: tag["Value"] for tag in found}
    return [
        f"its tag {key} is {theirs[key]!r}, ours is {ours[key]!r}"
        for key in OWNERSHIP_TAGS
        if key in theirs and key in ours and theirs[key] != ours[key]
    ]


def package_request(plan: RunPlan) -> sagemaker.CreateModelPackageInputTypeDef:
    """A version that waits for a person. Complete with `complete_package`, when there is an artefact."""
    planned: MetricSources = {STATISTICS: plan.run_uri(f"evaluation/{EVALUATION}")}
    request: sagemaker.CreateModelPackageInputTypeDef = {
        "ModelPackageGroupName": plan.group,
        "ModelPackageDescription": f"{plan.model.model} of {plan.period} by run {plan.run_id} of {plan.dag_id}"[:1024],
        "InferenceSpecification": _specification(plan),
        "ModelMetrics": quality_blocks(planned),
        "DriftCheckBaselines": drift_baselines(planned),
        "ModelCard": planned_card(plan),
        "ModelLifeCycle": {"Stage": plan.environment.environment, "StageStatus": "PendingApproval"},
        "CustomerMetadataProperties": _metadata(_facts(plan)),
        "MetadataProperties": _lineage(plan),
        "ModelApprovalStatus": PENDING,
        "ClientToken": _token(plan.model_artifact),
    }
    if plan.environment.kms_key_arn:
        request["SecurityConfig"] = {"KmsKeyId": plan.environment.kms_key_arn}
    return request


def _specification(plan: RunPlan) -> sagemaker.InferenceSpecificationTypeDef:
    """How the version is served: image, artefact, content types, and on which instances."""
    model, registration = plan.model, plan.model.registration
    real_time = list(registration.inference_instance_types or (model.deploy.instance_type,))
    transform = list(registration.transform_instance_types)
    return {
        "Containers": [
            {
                "Image": str(model.image.uri),
                "ModelDataUrl": plan.model_artifact,
                "Environment": _container_environment(plan),
            }
        ],
        "SupportedContentTypes": list(registration.content_types),
        "SupportedResponseMIMETypes": list(registration.response_types),
        "SupportedRealtimeInferenceInstanceTypes": cast("list[ProductionVariantInstanceTypeType]", real_time),
        "SupportedTransformInstanceTypes": cast("list[TransformInstanceTypeType]", transform),
    }


def metric_sources(results: RunResults) -> MetricSources:
    """Where the jobs may have left statistics and constraints, of the model's quality and of its training data.

    Only evaluation.json must be there: a script need not write the others.
    """
    baseline = results.preprocess["outputs"]["baseline"]
    return {
        STATISTICS: results.evaluation_uri,
        ("ModelQuality", "Constraints"): f"{results.evaluation['outputs']['evaluation']}constraints.json",
        ("ModelDataQuality", "Statistics"): f"{baseline}statistics.json",
        ("ModelDataQuality", "Constraints"): f"{baseline}constraints.json",
    }


def quality_blocks(sources: MetricSources) -> sagemaker.ModelMetricsTypeDef:
    """`ModelMetrics`: what the version was measured with."""
    blocks: sagemaker.ModelMetricsTypeDef = {}
    for (block, member), uri in sources.items():
        empty: sagemaker.ModelQualityTypeDef = {}
        blocks.setdefault(block, empty)[member] = {"ContentType": "application/json", "S3Uri": uri}
    return blocks


def drift_baselines(sources: MetricSources) -> sagemaker.DriftCheckBaselinesTypeDef:
    """`DriftCheckBaselines`: what a later drift check compares with is what the version was measured with.

    The two have these blocks in common; only their types in boto3-stubs have different names.
    """
    return cast("sagemaker.DriftCheckBaselinesTypeDef", quality_blocks(sources))


def complete_package(
    package: sagemaker.CreateModelPackageInputTypeDef, results: RunResults, sources: MetricSources
) -> sagemaker.CreateModelPackageInputTypeDef:
    """The version's request with what only the run's tasks know; `sources` are the objects that exist.

    A model that the gate refused becomes a Rejected version. The ClientToken follows from the artefact: a retry asks
    for the same version, a new training job for a new one.
    """
    request = copy.deepcopy(package)
    request["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] = results.artifact
    request["ModelMetrics"] = quality_blocks(sources)
    request["DriftCheckBaselines"] = drift_baselines(sources)
    request["MetadataProperties"]["GeneratedBy"] = results.training["arn"]
    request["ClientToken"] = _token(results.artifact)
    request["CustomerMetadataProperties"] = {**request["CustomerMetadataProperties"], **_metadata(_measured(results))}
    request["ModelCard"] = completed_card(
        request["ModelCard"],
        training=results.training,
        gate=results.gate,
        raw_data=results.raw_data,
        evaluation=results.evaluation,
        preprocess=results.preprocess,
    )
    if not results.gate["passed"]:
        request["ModelApprovalStatus"] = REJECTED
        request["ModelLifeCycle"]["StageStatus"] = REJECTED
    return request


def refusal_request(arn: str, reason: str, at: str) -> sagemaker.UpdateModelPackageInputTypeDef:
    """UpdateModelPackage that notes why the gate refused the version; `at` is ISO 8601.

    CreateModelPackage has no ApprovalDescription, so a version that begins as Rejected is told why afterwards.
    """
    transition = f"{at} New-{REJECTED} by {QUALITY_GATE} from {QUALITY_GATE}: {reason}"
    decision = {
        "decided_by": QUALITY_GATE,
        "decided_at": at,
        "decided_from": QUALITY_GATE,
        "transition.01": transition,
    }
    return {
        "ModelPackageArn": arn,
        "ModelApprovalStatus": REJECTED,
        "ApprovalDescription": f"{QUALITY_GATE}: {reason}"[:1024],
        "CustomerMetadataProperties": _metadata(decision),
    }


def validation_failures(description: sagemaker.DescribeModelPackageOutputTypeDef) -> str:
    """Why a described version is not usable: SageMaker's findings, one after the other."""
    details = description.get("ModelPackageStatusDetails", {})
    findings = [*details.get("ValidationStatuses", []), *details.get("ImageScanStatuses", [])]
    sentences = [
        f"{finding['Name']} {finding['Status']}: {finding.get('FailureReason', 'no reason given')}"
        for finding in findings
        if finding["Status"] != "Completed"
    ]
    return "; ".join(sentences) or "SageMaker gives no reason"


def _container_environment(plan: RunPlan) -> dict[str, str]:
    """Script mode of the serving container: train.py put its inference code into the artefact."""
    return {
        "SAGEMAKER_PROGRAM": INFERENCE_SCRIPT,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": str(logging.INFO),
        "SAGEMAKER_REGION": plan.environment.region,
        **plan.model.deploy.environment,
    }


def _facts(plan: RunPlan) -> dict[str, str]:
    facts = {
        "model": plan.model.model,
        "period": str(plan.period),
        "environment": plan.environment.environment,
        "dag_id": plan.dag_id,
        "run_id": plan.run_id,
        "git_sha": plan.git_sha,
        "plan_uri": plan.run_uri("plan.json"),
        "code_sha256": plan.code.sha256,
    }
    if plan.champion:
        facts["champion"] = plan.champion.arn
    return facts


def _measured(results: RunResults) -> dict[str, object]:
    """The facts that the run's tasks found out."""
    training, gate, months = results.training, results.gate, results.raw_data["months"]
    return {
        "training_job": training["name"],
        "training_seconds": training.get("training_seconds"),
        "billable_seconds": training.get("billable_seconds"),
        "savings_pct": training.get("savings_pct"),
        "data_fingerprint": results.raw_data["fingerprint"],
        "data_months": f"{months[0]}..{months[-1]}",
        "gate": f"{'passed' if gate['passed'] else 'refused'}: {gate['reason']}",
        "report_uri": f"{results.evaluation['outputs']['report']}{REPORT}",
        **_metrics(gate["challenger"], first=gate.get("metric")),
    }


def _metrics(values: Mapping[str, float | None], first: str | None) -> dict[str, str]:
    """The challenger's finite metrics, as many as there is room for; the one that decides is always among them."""
    usable = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    chosen = sorted(usable, key=lambda name: (name != first, name))[:MOST_METRICS]
    return {f"metric.{name}": format(usable[name], ".10g") for name in sorted(chosen)}


def _metadata(facts: Mapping[str, object]) -> dict[str, str]:
    """Texts that SageMaker takes; it refuses empty ones."""
    texts = {key: clean_tag(str(value)) for key, value in facts.items() if value is not None}
    return {key: value for key, value in texts.items() if value}


def _lineage(plan: RunPlan) -> sagemaker.MetadataPropertiesTypeDef:
    lineage = {
        "CommitId": plan.git_sha,
        "GeneratedBy": f"{plan.dag_id}/{plan.run_id}",
        "ProjectId": plan.environment.project,
    }
    return cast("sagemaker.MetadataPropertiesTypeDef", {key: text[:1024] for key, text in lineage.items() if text})


def _token(artifact: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, artifact))
