"""The quality gate, pure: `evaluation.json` and the model's thresholds in, a decision out."""

from sagemaker_retraining.gate.decision import Check, Decision, decide, describe
from sagemaker_retraining.gate.evaluation import Comparison, EvaluationError, read_evaluation
from sagemaker_retraining.gate.report import decision_block, fill_report

__all__ = [
    "Check",
    "Comparison",
    "Decision",
    "EvaluationError",
    "decide",
    "decision_block",
    "describe",
    "fill_report",
    "read_evaluation",
]
