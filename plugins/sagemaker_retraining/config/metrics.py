"""Which metrics are known, and whether more of them is better."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

Problem = Literal["binary_classification", "multiclass_classification", "regression"]
Direction = Literal["maximize", "minimize"]
DEFAULT_METRICS: dict[str, str] = {
    "binary_classification": "auc",
    "multiclass_classification": "accuracy",
    "regression": "rmse",
}
# Model Monitor's model-quality metrics, and the usual ones besides, under the names they have in scikit-learn.
# https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html
_MORE_IS_BETTER: dict[Problem, str] = {
    "binary_classification": "auc accuracy balanced_accuracy precision recall f0_5 f1 f2 true_positive_rate "
    "true_negative_rate average_precision pr_auc matthews_corrcoef cohen_kappa",
    "multiclass_classification": "accuracy balanced_accuracy weighted_precision weighted_recall weighted_f0_5 "
    "weighted_f1 weighted_f2 macro_precision macro_recall macro_f1 matthews_corrcoef cohen_kappa auc",
    "regression": "r2 explained_variance",
}
_LESS_IS_BETTER: dict[Problem, str] = {
    "binary_classification": "log_loss logloss brier brier_score false_positive_rate false_negative_rate",
    "multiclass_classification": "log_loss logloss",
    "regression": "rmse mse mae mape rmsle smape median_absolute_error max_error",
}


def known_metrics(problem: Problem) -> dict[str, Direction]:
    """The metrics whose direction is known, each with it."""
    more: dict[str, Direction] = dict.fromkeys(_MORE_IS_BETTER[problem].split(), "maximize")
    return {**more, **dict.fromkeys(_LESS_IS_BETTER[problem].split(), "minimize")}


def not_in_scripts(names: Iterable[str], folder: Path) -> set[str]:
    """Which of the metrics no Python file of the model's folder names in its code: those evaluate cannot write.

    A file that is not Python names them all: lint reports it.
    """
    left = set(names)
    for path in folder.rglob("*.py") if left else ():
        try:
            words = set(_words(ast.parse(path.read_bytes())))
        except (SyntaxError, ValueError):
            return set()
        left -= words
    return left


def _words(tree: ast.AST) -> Iterator[str]:
    """The words in the texts of a module, docstrings left out, and the names of keyword arguments."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from re.findall(r"[\w.:-]+", node.value)
            yield from re.findall(r"\w+", node.value)
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
