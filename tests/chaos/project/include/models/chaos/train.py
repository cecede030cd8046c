"""Logistic regression by gradient descent: every round builds on the one before, so a lost or repeated one shows."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

from inference import MODEL_FILE, probability

CHECKPOINTS = Path("/opt/ml/checkpoints")
RATE = 0.5


def main() -> None:
    """Train, or go on from the newest checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--round_seconds", type=float, required=True)
    parser.add_argument("--checkpoint_every", type=int, required=True)
    arguments = parser.parse_args()

    rows = [[float(x) for x in line.split(",")] for line in (channel("train") / "data.csv").read_text().splitlines()]
    done, weights = newest_checkpoint()
    if done > arguments.rounds:
        raise SystemExit(f"a checkpoint of {done} rounds, but {arguments.rounds} are asked for: another training's")
    print(f"from round {done}", flush=True)
    while done < arguments.rounds:
        time.sleep(arguments.round_seconds)
        weights = step(weights, rows)
        done += 1
        print(f"round {done}", flush=True)
        if done % arguments.checkpoint_every == 0:
            save_checkpoint(done, weights)

    folder = Path(os.environ["SM_MODEL_DIR"])
    (folder / "code").mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_text(json.dumps(weights))
    shutil.copy(Path(__file__).with_name("inference.py"), folder / "code")


def channel(name: str) -> Path:
    """A channel's folder."""
    return Path(os.environ[f"SM_CHANNEL_{name.upper()}"])


def step(weights: list[float], rows: list[list[float]]) -> list[float]:
    """One step down the gradient of the log loss."""
    gradient = [0.0, 0.0, 0.0]
    for x, y, label in rows:
        error = probability(weights, x, y) - label
        for index, value in enumerate((x, y, 1.0)):
            gradient[index] += error * value / len(rows)
    return [weight - RATE * slope for weight, slope in zip(weights, gradient, strict=True)]


def save_checkpoint(done: int, weights: list[float]) -> None:
    """Under its name only when complete."""
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    partial = CHECKPOINTS / "checkpoint.sagemaker-ignore"
    partial.write_text(json.dumps({"done": done, "weights": weights}))
    partial.replace(CHECKPOINTS / f"checkpoint-{done:04}.json")


def newest_checkpoint() -> tuple[int, list[float]]:
    """Rounds done and the weights after them; (0, zeros) without one."""
    files = sorted(CHECKPOINTS.glob("checkpoint-*.json"))
    if not files:
        return 0, [0.0, 0.0, 0.0]
    saved = json.loads(files[-1].read_text())
    return saved["done"], saved["weights"]


if __name__ == "__main__":
    main()
