"""The model card of a version: what SageMaker Studio shows a reviewer, in the schema of model package model cards.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema: that of all model cards,
but with `model_creator` and `model_artifact` alone in `model_overview`, and without `model_package_details`.
`objective_function` stays out: schema and SDK do not agree on its shape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sagemaker_retraining.gate import GateResult
from sagemaker_retraining.outcomes import ProcessingResult, TrainingResult
from sagemaker_retraining.plan import RunPlan
from sagemaker_retraining.raw_months import RawData

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import ModelPackageModelCardTypeDef

# Longest texts of the schema, in characters; it has no more than 100 hyperparameters and 50 training metrics.
LONGEST_NAME, LONGEST_VALUE = 63, 255
LONGEST_OBSERVATION, LONGEST_EVALUATION, LONGEST_USE, LONGEST_DETAIL = 1024, 2096, 2048, 1024
SECTIONS = (
    "model_overview",
    "intended_uses",
    "business_details",
    "training_details",
    "evaluation_details",
    "additional_information",
)
# None where a value is not a number; see gate.GateResult.
Metrics = Mapping[str, float | None]
OVERVIEW = ("model_creator", "model_artifact")


def planned_card(plan: RunPlan) -> ModelPackageModelCardTypeDef:
    """What is known before the first job."""
    model = plan.model
    hyperparameters = [
        {"name": key[:LONGEST_VALUE], "value": _text(value)[:LONGEST_VALUE]}
        for key, value in model.train.hyperparameters.items()
        if _text(value)
    ]
    content = {
        "model_overview": {
            "model_creator": f"{model.owner}, team {model.team}, by {plan.dag_id}",
            "model_artifact": [plan.model_artifact],
        },
        "intended_uses": {
            "purpose_of_model": (model.description or model.model)[:LONGEST_USE],
            "intended_uses": f"{model.problem.replace('_', ' ')} behind the endpoint {plan.endpoint}",
            "risk_rating": "Unknown",
        },
        "training_details": {
            "training_job_details": {
                "training_environment": {"container_image": [model.image.uri]},
                "hyper_parameters": hyperparameters[:100],
            }
        },
        "evaluation_details": [{"name": f"{plan.model.model} on {plan.period}"[:LONGEST_NAME]}],
        "additional_information": {
            "custom_details": {
                "period": str(plan.period),
                "environment": plan.environment.environment,
                "run": f"{plan.dag_id}/{plan.run_id}"[:LONGEST_DETAIL],
                "git_sha": plan.git_sha[:LONGEST_DETAIL],
                "plan": plan.run_uri("plan.json"),
            }
        },
    }
    return {"ModelCardStatus": "PendingReview", "ModelCardContent": json.dumps(content)}


def completed_card(
    card: ModelPackageModelCardTypeDef,
    *,
    training: TrainingResult,
    gate: GateResult,
    raw_data: RawData,
    evaluation: ProcessingResult,
    preprocess: ProcessingResult,
) -> ModelPackageModelCardTypeDef:
    """The planned card with what the tasks found. Nobody reviews a refused model, so its card stays a Draft."""
    outputs = preprocess["outputs"]
    content = json.loads(card["ModelCardContent"])
    content["model_overview"]["model_artifact"] = [training["model_artifact"]]
    content["training_details"]["training_observations"] = _observation(training, raw_data)[:LONGEST_OBSERVATION]
    content["training_details"]["training_job_details"] |= {
        "training_arn": training["arn"],
        "training_datasets": [outputs[name] for name in ("train", "validation") if name in outputs],
        "training_metrics": [_metric(*item) for item in _finite(training.get("metrics", {}))[:50]],
    }
    content["evaluation_details"][0] |= {
        "evaluation_observation": gate["reason"][:LONGEST_EVALUATION],
        "evaluation_job_arn": evaluation["arn"],
        "datasets": [outputs["test"]] if "test" in outputs else [],
        "metadata": dict(evaluation["outputs"]),
        "metric_groups": [_group(name, values) for name, values in _measured(gate) if _finite(values)],
    }
    content["additional_information"]["custom_details"]["data_fingerprint"] = raw_data["fingerprint"]
    return {
        "ModelCardStatus": "PendingReview" if gate["passed"] else "Draft",
        "ModelCardContent": json.dumps(content),
    }


def card_problems(content: str) -> list[str]:
    """What the schema refuses of a card's content, in sentences: SageMaker itself refuses it only when it is sent."""
    try:
        card = json.loads(content)
    except ValueError as error:
        return [f"is not JSON: {error}"]
    if not isinstance(card, dict):
        return [f"is a JSON {type(card).__name__}; expected an object"]
    return [
        *_unknown(card, SECTIONS, ""),
        *_unknown(card.get("model_overview", {}), OVERVIEW, "model_overview."),
        *(
            f"evaluation_details[{index}].name: {entry.get('name')!r} is no text of 1 to {LONGEST_NAME} characters"
            for index, entry in enumerate(card.get("evaluation_details", []))
            if not 1 <= len(entry.get("name", "")) <= LONGEST_NAME
        ),
    ]


def _unknown(section: Iterable[str], known: tuple[str, ...], prefix: str) -> list[str]:
    return [f"{prefix}{key}: is unknown; there are {', '.join(known)}" for key in section if key not in known]


def _observation(training: TrainingResult, raw_data: RawData) -> str:
    months = raw_data["months"]
    how = "on Spot" if training.get("spot") else "on demand"
    return (
        f"Months {months[0]} to {months[-1]}, {how}: {training.get('training_seconds')} s of training, "
        f"{training.get('billable_seconds')} s billed, {training.get('interruptions', 0)} interruptions"
    )


def _measured(gate: GateResult) -> list[tuple[str, Metrics]]:
    """The models' metrics on the same month, by model."""
    champion = gate.get("champion")
    return [("challenger", gate["challenger"]), *([("champion", champion)] if champion else [])]


def _group(name: str, values: Metrics) -> dict[str, object]:
    return {"name": name, "metric_data": [{**_metric(*item), "type": "number"} for item in _finite(values)]}


def _metric(name: str, value: float) -> dict[str, object]:
    return {"name": name[:LONGEST_VALUE], "value": value}


def _finite(values: Metrics) -> list[tuple[str, float]]:
    """JSON has neither NaN nor infinity, and a missing figure is none."""
    return sorted((name, value) for name, value in values.items() if value is not None and math.isfinite(value))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
