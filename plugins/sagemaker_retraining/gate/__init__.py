"""The quality gate, pure: `evaluation.json` and the model's thresholds in, a decision out."""

from sagemaker_retraining.gate.decision import GateDecision, decide_gate, format_comparison
from sagemaker_retraining.gate.document import GateCheck, GateResult, ModelComparison, QualityGateConfig
from sagemaker_retraining.gate.evaluation import EvaluationError, read_evaluation
from sagemaker_retraining.gate.report import decision_block, fill_report

__all__ = [
    "EvaluationError",
    "GateCheck",
    "GateDecision",
    "GateResult",
    "ModelComparison",
    "QualityGateConfig",
    "decide_gate",
    "decision_block",
    "fill_report",
    "format_comparison",
    "read_evaluation",
]
