"""What the reviewer reads under Required Actions."""

from __future__ import annotations

from typing import Any

from sagemaker_retraining.review_body import metric_row, review_body

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/demo-model/"
PACKAGE: dict[str, Any] = {
    "ModelPackageArn": f"{ARN}8",
    "CustomerMetadataProperties": {
        "model": "demo_model",
        "period": "2013-11",
        "run_id": "manual__1",
        "champion": f"{ARN}7",
    },
}
GATE: dict[str, Any] = {
    "passed": True,
    "reason": "auc is not worse",
    "metric": "auc",
    "challenger": {"auc": 0.71, "accuracy": 0.8},
    "champion": {"auc": 0.7},
    "comparison": {"difference": 0.01, "confidence_interval": [-0.002, 0.022], "confidence": 0.95, "samples": 500},
    "warnings": ["the holdout has 100 rows only"],
}


def body(**gate: Any) -> str:
    return review_body(PACKAGE, {**GATE, **gate}, report="http://report", version="http://version")


def test_challenger_against_champion() -> None:
    lines = body().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table == [
        "| metric | demo-model/8 | champion (demo-model/7) | difference |",
        "|---|---|---|---|",
        "| auc | 0.7100 | 0.7000 | +0.0100 |",
        "| accuracy | 0.8000 | - | - |",
    ]
    assert lines[0] == "**demo_model 2013-11**: auc is not worse"
    assert "Difference in auc: **+0.0100, 95 % interval -0.0020 to +0.0220** (500 bootstrap samples" in body()
    assert "- ⚠ the holdout has 100 rows only" in lines
    assert "[Report](http://report)" in body()
    assert "[Version in the registry](http://version)" in body()


def test_the_first_version_has_nobody_to_compare_with() -> None:
    package = {**PACKAGE, "CustomerMetadataProperties": {"model": "demo_model", "period": "2013-11"}}
    gate = {"reason": "no champion", "challenger": {"auc": 0.7}, "champion": None, "comparison": None}
    text = review_body(package, gate, report="r", version="v")
    assert "champion (none)" in text
    assert "| auc | 0.7000 | - | - |" in text
    assert "interval" not in text


def test_a_script_may_compare_without_an_interval() -> None:
    text = body(comparison={"difference": 0.01, "confidence_interval": None, "confidence": None, "samples": None})
    assert "Difference in auc: **+0.0100, no interval**\n" in text


def test_a_value_that_is_not_known_is_a_dash() -> None:
    assert metric_row("auc", None, {"auc": 0.7}) == "| auc | - | 0.7000 | - |"
    assert metric_row("rmse", 2.0, {"rmse": 2.5}) == "| rmse | 2.0000 | 2.5000 | -0.5000 |"
