"""Training checkpoints: a kill at any moment leaves a usable one, and a broken one does no harm."""

from __future__ import annotations

import re
from pathlib import Path

import xgboost as xgb

KEEP = 3
IGNORED = ".sagemaker-ignore"
"""SageMaker does not upload files that end like this, so a half-written checkpoint never reaches S3."""

NAME = re.compile(r"checkpoint-(\d{6})\.ubj")


def save_checkpoint(booster: xgb.Booster, folder: Path, fingerprint: str) -> xgb.Booster:
    """Save `booster` under the number of its rounds, drop all but the last KEEP; the model as read back."""
    folder.mkdir(parents=True, exist_ok=True)
    booster.set_attr(fingerprint=fingerprint)
    file = folder / f"checkpoint-{booster.num_boosted_rounds():06}.ubj"
    # The file appears under its name only when it is complete.
    partial = file.with_name(file.name + IGNORED)
    partial.write_bytes(booster.save_raw("ubj"))
    partial.replace(file)
    for old in existing(folder)[KEEP:]:
        if not old.with_name(old.name + ".sagemaker-uploading").exists():  # SageMaker's mark of an upload under way
            old.unlink()
    return xgb.Booster(model_file=file)


def newest_checkpoint(folder: Path, fingerprint: str) -> xgb.Booster | None:
    """The model of the newest checkpoint that can be read and belongs to this run; says why it skips others."""
    for file in existing(folder):
        try:
            booster = xgb.Booster(model_file=file)
        except (xgb.core.XGBoostError, ValueError):
            print(f"Skipping {file.name}: not a readable checkpoint", flush=True)
            continue
        if booster.attr("fingerprint") == fingerprint and booster.num_boosted_rounds() == rounds_of(file):
            return booster
        print(f"Skipping {file.name}: it belongs to other hyperparameters or other data", flush=True)
    return None


def existing(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, newest first."""
    return sorted((file for file in folder.glob("*") if NAME.fullmatch(file.name)), key=rounds_of, reverse=True)


def rounds_of(file: Path) -> int:
    """The number of rounds in a checkpoint's name."""
    match = NAME.fullmatch(file.name)
    return int(match[1]) if match else 0
