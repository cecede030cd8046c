"""Score challenger and champion on the period's month and write what the gate, the reviewer and verify need.

Runs as a SageMaker processing job. Both models are scored through the `inference.py` in their own artefact, so that
what is measured here is what an endpoint answers, and a champion from older code still runs. A champion that cannot be
scored is written down as that (`champion_error`); a challenger that cannot is an error. Writes `OUTPUT/evaluation/`
(`evaluation.json`, `constraints.json`, `sample.jsonl`) and `OUTPUT/report/` (`report.html` and its pictures).
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from features import FEATURES, TARGET
from metrics import Bootstrap, bootstrap, comparison, constraints, day_weights, report
from report import write_report

SAMPLE_ROWS, SAMPLE_SEED = 200, 2013
DEFAULT_THRESHOLD = 0.5


class BadInput(Exception):
    """An input of the job cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Scored:
    """One model on the test month: its artefact's description, its code, the loaded model and what it predicts.

    `threshold` is the score from which on a flight is called late.
    """

    described: dict[str, Any]
    code: ModuleType
    model: Any
    scores: np.ndarray
    threshold: float


def main() -> int:
    """Run the job. On bad input: the reason on standard error and in `/opt/ml/output/message`, exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--period", required=True, metavar="YYYY-MM", help="the month that is tested on")
    parser.add_argument("--input", type=Path, default=Path("/opt/ml/processing/input"))
    parser.add_argument("--output", type=Path, default=Path("/opt/ml/processing/output"))
    arguments = parser.parse_args()
    try:
        evaluate(arguments.period, arguments.input, arguments.output, bootstrap_of(os.environ))
    except BadInput as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        message = arguments.output.parent.parent / "output" / "message"
        message.parent.mkdir(parents=True, exist_ok=True)
        message.write_text(str(error)[:1024])
        return 1
    return 0


def bootstrap_of(environment: Mapping[str, str]) -> Bootstrap:
    """How to measure uncertainty, as the job's environment says. Raises BadInput."""
    try:
        return Bootstrap.of(environment)
    except ValueError as error:
        raise BadInput(str(error)) from error


def evaluate(period: str, input_dir: Path, output_dir: Path, how: Bootstrap) -> None:
    """Score, measure, compare, write. Raises BadInput."""
    test, facts = read_test(input_dir / "test", period)
    print(f"Testing on {len(test):,} flights of {period}", flush=True)
    request = as_request(test)
    with tempfile.TemporaryDirectory() as scratch:
        models = {"challenger": score(input_dir / "model", request, len(test), Path(scratch) / "challenger")}
        champion, champion_error = score_champion(input_dir / "champion", request, len(test), Path(scratch))
        if champion:
            models["champion"] = champion
        sample = sample_lines(test, models["challenger"])
    evaluation, quality = measure(test, models, period, how)
    evaluation["champion_error"] = champion_error
    folder = output_dir / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=2, allow_nan=False))
    limits = constraints(evaluation["binary_classification_metrics"])
    (folder / "constraints.json").write_text(json.dumps(limits, indent=2, allow_nan=False))
    (folder / "sample.jsonl").write_text("".join(json.dumps(line) + "\n" for line in sample))
    for name, values in quality.items():
        print(f"{name}-auc:{values['auc'][0]:.5f} {name}-log_loss:{values['log_loss'][0]:.5f}", flush=True)
    print("Drawing the report", flush=True)
    write_report(output_dir / "report", evaluation, models, test, facts)


def read_test(folder: Path, period: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The test set and the facts that preprocess.py wrote next to it."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise BadInput(f"{folder}: no parquet file; it must hold the test set that preprocess.py writes")
    test = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    if missing := [name for name in ("date", *FEATURES, TARGET) if name not in test.columns]:
        raise BadInput(f"{files[0]}: no column {', '.join(missing)}; it has {', '.join(test.columns)}")
    if test.empty:
        raise BadInput(f"{files[0]}: has no rows; there is nothing to test on in {period}")
    months = sorted(test["date"].dt.strftime("%Y-%m").unique())
    if months != [period]:
        raise BadInput(f"{files[0]}: holds flights of {', '.join(months)}; --period is {period}")
    if set(found := test[TARGET].unique()) != {0.0, 1.0}:
        values = sorted(map(float, found))
        raise BadInput(f"{files[0]}: column {TARGET} holds {values}; a test needs late (1) and punctual (0) flights")
    return test, json.loads((folder / "_facts.json").read_text())


def as_request(test: pd.DataFrame) -> str:
    """The features as the JSON request an endpoint would get: columns by name, so that any model finds its own."""
    features = test[list(FEATURES)].astype(object)
    return json.dumps({"instances": features.where(features.notna(), None).to_dict("records")})


def score_champion(folder: Path, request: str, rows: int, scratch: Path) -> tuple[Scored | None, str | None]:
    """The champion, or why it cannot be scored; neither when there is none.

    One whose archive is gone is no input of the job: CHAMPION_ERROR says so.
    """
    if not folder.is_dir():
        return None, os.environ.get("CHAMPION_ERROR")
    try:
        return score(folder, request, rows, scratch / "champion"), None
    except BadInput as error:
        print(f"The champion is left out: {error}", file=sys.stderr, flush=True)
        return None, str(error)


def score(folder: Path, request: str, rows: int, scratch: Path) -> Scored:
    """Load `folder/model.tar.gz` and predict. Raises BadInput when the artefact cannot do that."""
    archive = folder / "model.tar.gz"
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        code = load_code(scratch / "code" / "inference.py", folder.name)
        model = code.model_fn(str(scratch))
        answer = code.predict_fn(code.input_fn(request, "application/json"), model)
        if isinstance(answer, Exception):  # what the endpoint would answer with a status 4xx
            raise answer
        scores = np.asarray(answer, dtype=float)
        if scores.shape != (rows,):
            raise ValueError(f"predictions of shape {scores.shape} for {rows:,} flights")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError("predictions that are no probabilities from 0 to 1")
        file = scratch / "features.json"
        described = json.loads(file.read_text()) if file.is_file() else {}
        return Scored(described, code, model, scores, float(described.get("threshold", DEFAULT_THRESHOLD)))
    except (Exception, SystemExit) as error:  # it is other code, maybe an older one: whatever it raises is the reason
        raise BadInput(f"{archive}: cannot score this month ({type(error).__name__}: {error})") from error


def load_code(file: Path, owner: str) -> ModuleType:
    """The artefact's inference code, under a module name of its own."""
    spec = importlib.util.spec_from_file_location(f"{owner}_inference", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def sample_lines(test: pd.DataFrame, challenger: Scored) -> list[dict[str, Any]]:
    """Requests with the answers that the endpoint must give to them."""
    rows = test.sample(min(SAMPLE_ROWS, len(test)), random_state=SAMPLE_SEED)[list(FEATURES)].astype(object)
    bodies = [csv_row(row) for row in rows.where(rows.notna(), None).itertuples(index=False)]
    data = challenger.code.input_fn("\n".join(bodies), "text/csv")
    predictions = challenger.code.predict_fn(data, challenger.model)
    return [
        {"content_type": "text/csv", "body": body, "prediction": float(prediction)}
        for body, prediction in zip(bodies, predictions, strict=True)
    ]


def csv_row(values: tuple[Any, ...]) -> str:
    """One CSV line without its line end; None becomes an empty field, a float keeps all its digits."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def measure(
    test: pd.DataFrame, models: dict[str, Scored], period: str, how: Bootstrap
) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """`evaluation.json`, and each model's metrics with their replicates."""
    late = test[TARGET].to_numpy()
    weights = day_weights(test["date"], how)
    quality = {name: bootstrap(late, m.scores, m.threshold, weights) for name, m in models.items()}
    reports = {name: report(late, m.scores, m.threshold, quality[name]) for name, m in models.items()}
    champion = reports.get("champion")
    evaluation = {
        "binary_classification_metrics": reports["challenger"],
        "champion": champion and {"binary_classification_metrics": champion},
        "comparison": comparison(quality["challenger"], quality["champion"], how) if champion else None,
        "holdout": {"period": period, "rows": len(test), "positives": int(late.sum()), "days": test["date"].nunique()},
        "bootstrap": asdict(how),
    }
    return evaluation, quality


if __name__ == "__main__":
    sys.exit(main())
