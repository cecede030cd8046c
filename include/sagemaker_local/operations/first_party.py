"""AWS's own algorithm images: they bring definitions of their metrics, and take no others."""

from __future__ import annotations

XGBOOST = frozenset({"sagemaker-xgboost", "xgboost"})
REPOSITORIES = XGBOOST | {
    "blazingtext",
    "factorization-machines",
    "forecasting-deepar",
    "image-classification",
    "ipinsights",
    "kmeans",
    "knn",
    "lda",
    "linear-learner",
    "ntm",
    "object-detection",
    "object2vec",
    "pca",
    "randomcutforest",
    "semantic-segmentation",
    "seq2seq",
}
"""Repositories of the algorithms, as the SageMaker SDK's tables of image addresses name them."""

REFUSED = (
    "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request without "
    "specifying metric definitions."
)
"""AWS's answer to MetricDefinitions with such an image, also in script mode."""

_XGBOOST_METRICS = [
    "accuracy",
    "auc",
    "aucpr",
    "cox-nloglik",
    "error",
    "f1",
    "gamma-deviance",
    "gamma-nloglik",
    "logloss",
    "mae",
    "map",
    "merror",
    "mlogloss",
    "mse",
    "ndcg",
    "poisson-nloglik",
    "r2",
    "rmse",
    "tweedie-nloglik",
]
_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"


def is_first_party(image: str, account: str) -> bool:
    """Whether an image is one of AWS's algorithms; a copy in a registry of one's own `account` is one's own image."""
    return _repository(image) in REPOSITORIES and not image.startswith(f"{account}.")


def metric_definitions(image: str) -> list[dict[str, str]]:
    """What Describe says of an algorithm's metrics. Only XGBoost's are known here.

    Expressions and names are those of real answers of DescribeTrainingJob and DescribeHyperParameterTuningJob about
    versions 0.90-1 and 1.5-1; which of the names a version has differs a little. `#011` is how the log shows a tab.
    """
    if _repository(image) not in XGBOOST:
        return []
    names = [(side, metric) for side in ("train", "validation") for metric in _XGBOOST_METRICS]
    return [{"Name": f"{a}:{b}", "Regex": rf".*\[[0-9]+\].*#011{a}-{b}:{_NUMBER}.*"} for a, b in names]


def _repository(image: str) -> str:
    """The name of the repository, without the registry, the tag and the digest."""
    return image.partition("/")[2].partition("@")[0].partition(":")[0]
