"""Train the model with XGBoost; runs in SageMaker's script mode, on Spot instances.

Training goes in blocks of `checkpoint_every` rounds. After each block the model is saved to `/opt/ml/checkpoints`, and
the next block starts from what was saved. An interrupted job therefore does exactly what an uninterrupted one does, and
its final model is the same.

The artefact holds `model.ubj`, `features.json` (columns, encodings, threshold, importance) and `code/inference.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

# Read when XGBoost loads: threads that wait for each other sleep instead of spinning. On a machine that does other work
# too, such as a laptop that runs Airflow, spinning makes training many times slower.
os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import xgboost as xgb
from checkpoints import newest_checkpoint, save_checkpoint
from features import CATEGORICAL, FEATURES, TARGET

PROGRESS_EVERY = 10  # rounds
STOPPED_BY_SIGTERM = 128 + signal.SIGTERM


def main() -> int:
    """Train, or go on training, and write the artefact."""
    arguments = parse_arguments()
    stop = StopRequest()
    train, validation = read_set(arguments.train), read_set(arguments.validation)
    encodings = learn_encodings(train)
    booster = fit(train, validation, encodings, arguments, stop)
    if booster is None:
        print("Stopped by SIGTERM; the checkpoint is saved, the next start goes on from it", flush=True)
        return STOPPED_BY_SIGTERM
    threshold = float(train[TARGET].mean())  # more likely late than the average flight
    write_artefact(booster, encodings, threshold, arguments.model_dir)
    print(f"Model written to {arguments.model_dir}, decision threshold {threshold:.4f}", flush=True)
    return 0


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Hyperparameters as the training toolkit passes them, folders from its environment; defaults as in model.yaml."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    hyper = parser.add_argument_group("hyperparameters")
    hyper.add_argument("--num_round", type=int, default=400, help="trees")
    hyper.add_argument("--max_depth", type=int, default=6)
    hyper.add_argument("--eta", type=float, default=0.03, help="learning rate")
    hyper.add_argument("--min_child_weight", type=float, default=50)
    hyper.add_argument("--subsample", type=float, default=0.8)
    hyper.add_argument("--colsample_bytree", type=float, default=0.3)
    hyper.add_argument("--seed", type=int, default=2013)
    hyper.add_argument("--checkpoint_every", type=int, default=50, help="rounds")
    ml = Path("/opt/ml")
    data = ml / "input" / "data"
    parser.add_argument("--train", type=Path, default=os.environ.get("SM_CHANNEL_TRAIN", data / "train"))
    parser.add_argument("--validation", type=Path, default=os.environ.get("SM_CHANNEL_VALIDATION", data / "validation"))
    parser.add_argument("--model_dir", type=Path, default=os.environ.get("SM_MODEL_DIR", ml / "model"))
    parser.add_argument("--checkpoint_dir", type=Path, default=ml / "checkpoints")
    arguments = parser.parse_args(given)
    for name in ("num_round", "checkpoint_every", "max_depth"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} is {getattr(arguments, name)}; it must be at least 1")
    return arguments


class StopRequest:
    """Notes a SIGTERM, so that training can stop at the end of the running block, where a checkpoint is exact."""

    def __init__(self) -> None:
        self.received = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        print("SIGTERM received: stopping after the next checkpoint", flush=True)


def read_set(folder: Path) -> pd.DataFrame:
    """All parquet files of a channel. Raises SystemExit when they are not what preprocess.py writes."""
    files = sorted(Path(folder).glob("*.parquet"))
    if not files:
        raise SystemExit(f"{folder}: no parquet file; this channel must hold what preprocess.py writes")
    rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    if missing := [name for name in (*FEATURES, TARGET) if name not in rows.columns]:
        raise SystemExit(f"{files[0]}: no column {', '.join(missing)}; it has {', '.join(rows.columns)}")
    return rows


def learn_encodings(train: pd.DataFrame) -> dict[str, list[str]]:
    """The values of each categorical column, the most punctual first; a value's code is its place in the list."""
    return {name: train.groupby(name)[TARGET].mean().sort_values(kind="stable").index.tolist() for name in CATEGORICAL}


def matrix(rows: pd.DataFrame, encodings: dict[str, list[str]]) -> xgb.DMatrix:
    """The model's input. A value not seen in training is missing, as it is in inference.py."""
    values = rows[list(FEATURES)].copy()
    for name, known in encodings.items():
        values[name] = values[name].map({value: code for code, value in enumerate(known)})
    return xgb.DMatrix(values.to_numpy(dtype=np.float32), label=rows[TARGET], feature_names=list(FEATURES))


def booster_params(arguments: argparse.Namespace) -> dict[str, Any]:
    """XGBoost's own parameters, of the hyperparameters."""
    names = ("max_depth", "eta", "min_child_weight", "subsample", "colsample_bytree", "seed")
    threads = int(os.environ.get("SM_NUM_CPUS") or os.cpu_count() or 1)
    fixed = {"objective": "binary:logistic", "tree_method": "hist", "eval_metric": ["logloss", "auc"]}
    return fixed | {"nthread": threads} | {name: getattr(arguments, name) for name in names}


def fit(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    encodings: dict[str, list[str]],
    arguments: argparse.Namespace,
    stop: StopRequest,
) -> xgb.Booster | None:
    """The model after `num_round` rounds, from the newest valid checkpoint on; None when stopped before the end."""
    params, rounds = booster_params(arguments), arguments.num_round
    dtrain, dvalidation = matrix(train, encodings), matrix(validation, encodings)
    fingerprint = run_fingerprint(params, arguments, train)
    saved = newest_checkpoint(arguments.checkpoint_dir, fingerprint)
    done = saved.num_boosted_rounds() if saved else 0
    print(f"Resuming from checkpoint at round {done} of {rounds}" if saved else "Starting from round 0", flush=True)
    while done < rounds:
        block = min(arguments.checkpoint_every, rounds - done)
        block_params = params | {"seed": arguments.seed + done}  # a block's randomness depends on where it starts only
        booster = xgb.train(
            block_params, dtrain, block, evals=[(dvalidation, "validation")], verbose_eval=False, xgb_model=saved,
            callbacks=[Progress(done, rounds)],
        )  # fmt: skip
        saved = save_checkpoint(booster, arguments.checkpoint_dir, fingerprint)
        done += block
        if stop.received and done < rounds:
            return None
    return saved


class Progress(xgb.callback.TrainingCallback):
    """Prints a line every few rounds in XGBoost's own form, from which SageMaker reads the image's metrics."""

    def __init__(self, done: int, rounds: int) -> None:
        self.before, self.rounds = done, rounds

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: dict[str, Any]) -> bool:
        """Called by XGBoost with the number of the round in its block, from 0; False means go on."""
        done = self.before + epoch + 1
        if done % PROGRESS_EVERY == 0 or done == self.rounds:
            metrics = {name: values[-1] for name, values in evals_log["validation"].items()}
            text = "\t".join(f"validation-{name}:{value:.5f}" for name, value in metrics.items())
            print(f"[{done}]\t{text}", flush=True)
        return False


def run_fingerprint(params: dict[str, Any], arguments: argparse.Namespace, train: pd.DataFrame) -> str:
    """Which hyperparameters and data a checkpoint belongs to."""
    settings = params | {"num_round": arguments.num_round, "checkpoint_every": arguments.checkpoint_every}
    digest = hashlib.sha256(json.dumps([settings, FEATURES, xgb.__version__], sort_keys=True).encode())
    digest.update(pd.util.hash_pandas_object(train[[*FEATURES, TARGET]], index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def write_artefact(booster: xgb.Booster, encodings: dict[str, list[str]], threshold: float, model_dir: Path) -> None:
    """Everything that serving needs, in the layout of SageMaker's inference toolkit."""
    model_dir.mkdir(parents=True, exist_ok=True)
    booster.save_model(model_dir / "model.ubj")
    gain = booster.get_score(importance_type="total_gain")
    described = {
        "columns": list(FEATURES),
        "encodings": encodings,
        "target": TARGET,
        "threshold": threshold,
        "importance": {name: gain.get(name, 0.0) / sum(gain.values()) for name in FEATURES},
    }
    (model_dir / "features.json").write_text(json.dumps(described, indent=2))
    (model_dir / "code").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("inference.py"), model_dir / "code")


if __name__ == "__main__":
    sys.exit(main())
