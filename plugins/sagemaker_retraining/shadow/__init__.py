"""A shadow's answers beside those of production, pure: captured events in, figures and a page out."""

from sagemaker_retraining.shadow.comparison import compare, pair_up, percentile
from sagemaker_retraining.shadow.report import shadow_report

__all__ = ["compare", "pair_up", "percentile", "shadow_report"]
