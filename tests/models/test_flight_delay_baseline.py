"""baseline.py: exact statistics of the training data in Model Monitor's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kits import flight_delay_kit as kit

FEATURES = 28


def test_it_is_about_the_training_set(sets: Path) -> None:
    """Every feature in the order of a CSV request; counts and extremes are those of pandas."""
    found = kit.jobs_python(
        "import json, pandas as pd, features\n"
        "rows = pd.read_parquet(sys.argv[1])[list(features.FEATURES)]\n"
        "numbers = rows.select_dtypes('number').astype(float)\n"
        "numbers = json.loads(numbers.agg(['mean', 'min', 'max']).to_json())\n"
        "print(json.dumps({'rows': len(rows), 'names': list(rows), 'missing': rows.isna().sum().to_dict(),\n"
        "  'carriers': rows['carrier'].value_counts().to_dict(), 'numbers': numbers}))",
        sets / "train",
    )
    statistics, constraints = read(sets / "baseline")
    assert statistics["dataset"]["item_count"] == found["rows"]
    assert [feature["name"] for feature in statistics["features"]] == found["names"]
    assert [feature["name"] for feature in constraints["features"]] == found["names"]
    assert len(found["names"]) == FEATURES
    for feature, constraint in zip(statistics["features"], constraints["features"], strict=True):
        name, missing = feature["name"], found["missing"][feature["name"]]
        assert constraint["inferred_type"] == feature["inferred_type"]
        assert constraint["completeness"] == pytest.approx(1 - missing / found["rows"])
        if name not in found["numbers"]:
            assert feature["inferred_type"] == "String"
            continue
        numbers = feature["numerical_statistics"]
        assert numbers["common"] == {"num_present": found["rows"] - missing, "num_missing": missing}
        assert {key: numbers[key] for key in ("mean", "min", "max")} == pytest.approx(found["numbers"][name])
        buckets = numbers["distribution"]["kll"]["buckets"]
        assert sum(bucket["count"] for bucket in buckets) == found["rows"] - missing
        assert (buckets[0]["lower_bound"], buckets[-1]["upper_bound"]) == (numbers["min"], numbers["max"])
        assert constraint["num_constraints"]["is_non_negative"] == (numbers["min"] >= 0)
    by_name = {feature["name"]: feature for feature in statistics["features"]}
    kinds = {name: by_name[name]["inferred_type"] for name in ("carrier", "dep_minute", "temp")}
    assert kinds == {"carrier": "String", "dep_minute": "Integral", "temp": "Fractional"}
    counted = by_name["carrier"]["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert {bucket["value"]: bucket["count"] for bucket in counted} == found["carriers"]
    (carrier,) = (feature for feature in constraints["features"] if feature["name"] == "carrier")
    assert sorted(carrier["string_constraints"]["domains"]) == sorted(found["carriers"])


def test_odd_columns() -> None:
    """Nothing but missing values, infinities, one value only, too many texts, true and false, nullable integers."""
    described = kit.jobs_python(
        "import json, pandas as pd, numpy as np, baseline\n"
        "rows = pd.DataFrame({'empty': [np.nan] * 300, 'none': [None] * 300, 'infinite': [np.inf, 1.5, 2.5] * 100,\n"
        "  'one': [7] * 300, 'ids': [f'id{i}' for i in range(300)], 'yes': [True, False, True] * 100,\n"
        "  'maybe': pd.array([1, None, 3] * 100, dtype='Int64')})\n"
        "features = [baseline.describe(rows[name]) for name in rows]\n"
        "print(json.dumps({f['name']: [f, baseline.constrain(f)] for f in features}, allow_nan=False))"
    )
    kinds = {name: feature["inferred_type"] for name, (feature, _) in described.items()}
    assert kinds == {
        "empty": "Unknown", "none": "Unknown", "infinite": "Fractional", "one": "Integral", "ids": "String",
        "yes": "String", "maybe": "Integral",
    }  # fmt: skip
    complete = {name: constraint["completeness"] for name, (_, constraint) in described.items()}
    assert complete["empty"] == complete["none"] == 0
    assert complete["infinite"] == complete["maybe"] == pytest.approx(2 / 3)
    assert "string_constraints" not in described["ids"][1]
    assert described["ids"][0]["string_statistics"]["distinct_count"] == 300
    assert described["yes"][1]["string_constraints"]["domains"] == ["True", "False"]
    buckets = described["one"][0]["numerical_statistics"]["distribution"]["kll"]["buckets"]
    assert buckets == [{"lower_bound": 7.0, "upper_bound": 7.0, "count": 300}]


def read(folder: Path) -> tuple[Any, Any]:
    """Both files, strictly as JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    statistics, constraints = (
        json.loads((folder / f"{name}.json").read_text(), parse_constant=refuse)
        for name in ("statistics", "constraints")
    )
    return statistics, constraints
