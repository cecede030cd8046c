"""What the training data look like, in SageMaker Model Monitor's format, for data that come later to be compared with.

`statistics.json` and `constraints.json` as Model Monitor's own containers write and read them:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-statistics.html
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-constraints.html
Model Monitor sees data as a stream and keeps a KLL sketch; here all rows are at hand: the buckets are counted exactly,
and the sketch is left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BUCKETS = 10
"""Of equal width between least and largest value, as Model Monitor has them; one for a constant."""

MOST_VALUES = 200
"""A text feature with more distinct values (an identifier, free text) has no domain and no distribution."""

MONITORING = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 0.1,
    "domain_content_threshold": 0.1,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "LInfinity",
    },
}
"""Model Monitor's defaults: shares of rows, and distances between distributions, from 0 to 1."""


def write_baseline(folder: Path, rows: pd.DataFrame) -> None:
    """Write `statistics.json` and `constraints.json` about the columns of `rows` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    features = [describe(rows[name]) for name in rows.columns]
    statistics = {"version": 0, "dataset": {"item_count": len(rows)}, "features": features}
    constraints = {"version": 0, "features": [constrain(one) for one in features], "monitoring_config": MONITORING}
    for name, document in (("statistics", statistics), ("constraints", constraints)):
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1, allow_nan=False))


def describe(column: pd.Series) -> dict[str, Any]:
    """One feature of statistics.json. An infinite number counts as missing."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return describe_texts(column)
    numbers = column.to_numpy(dtype=float, na_value=np.nan)
    present = numbers[np.isfinite(numbers)]
    common = {"num_present": len(present), "num_missing": len(numbers) - len(present)}
    if not len(present):
        return {"name": str(column.name), "inferred_type": "Unknown", "numerical_statistics": {"common": common}}
    low, high = float(present.min()), float(present.max())
    # numpy would widen the range of a constant, to where no value is.
    counts, edges = np.histogram(present, bins=BUCKETS) if low < high else ([len(present)], [low, high])
    buckets = [
        {"lower_bound": float(lower), "upper_bound": float(upper), "count": int(count)}
        for lower, upper, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return {
        "name": str(column.name),
        "inferred_type": "Integral" if (present == np.round(present)).all() else "Fractional",
        "numerical_statistics": {
            "common": common,
            "mean": float(present.mean()),
            "sum": float(present.sum()),
            "std_dev": float(present.std()),
            "min": low,
            "max": high,
            "distribution": {"kll": {"buckets": buckets}},
        },
    }


def describe_texts(column: pd.Series) -> dict[str, Any]:
    """The same of a feature that is no number: how often each value comes, most frequent first."""
    present = column.dropna().astype(str)
    counts = present.value_counts()
    statistics: dict[str, Any] = {
        "common": {"num_present": len(present), "num_missing": len(column) - len(present)},
        "distinct_count": len(counts),
    }
    if len(counts) <= MOST_VALUES:
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))  # equal counts: always the same order
        buckets = [{"value": value, "count": int(count)} for value, count in ordered]
        statistics["distribution"] = {"categorical": {"buckets": buckets}}
    kind = "String" if len(present) else "Unknown"
    return {"name": str(column.name), "inferred_type": kind, "string_statistics": statistics}


def constrain(feature: dict[str, Any]) -> dict[str, Any]:
    """What follows from a feature's statistics: its type, how complete it is, its sign or its values."""
    statistics = feature.get("numerical_statistics") or feature["string_statistics"]
    present, missing = statistics["common"]["num_present"], statistics["common"]["num_missing"]
    constraint = {
        "name": feature["name"],
        "inferred_type": feature["inferred_type"],
        "completeness": present / max(present + missing, 1),
    }
    if "min" in statistics:
        constraint["num_constraints"] = {"is_non_negative": statistics["min"] >= 0}
    if domain := statistics.get("distribution", {}).get("categorical"):
        constraint["string_constraints"] = {"domains": [bucket["value"] for bucket in domain["buckets"]]}
    return constraint
