"""train.py: an interruption must not change the model, and no checkpoint may be used by mistake."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.kits import flight_delay_kit as kit

CHECKPOINTS = ["checkpoint-000020.ubj", "checkpoint-000030.ubj", "checkpoint-000040.ubj"]


def test_artefact_and_metrics(trained: Path) -> None:
    """The artefact serves by itself; the log has what SageMaker's own definitions of XGBoost's metrics look for."""
    assert {str(file.relative_to(trained / "model")) for file in (trained / "model").rglob("*.*")} == {
        "model.ubj", "features.json", "code/inference.py",
    }  # fmt: skip
    log = (trained / "log").read_text()
    assert log.startswith("Starting from round 0\n[10]\tvalidation-logloss:")
    assert kit.metrics_in(log) == {"validation:logloss": 4, "validation:auc": 4}
    described = json.loads((trained / "model/features.json").read_text())
    assert sum(described["importance"].values()) == pytest.approx(1)
    assert 0 < described["threshold"] < 1


def test_defaults_are_those_of_the_yaml() -> None:
    """The backtest uses the script's defaults, a run those of model.yaml."""
    used = kit.jobs_python("import json, train; print(json.dumps(vars(train.parse_arguments([])), default=str))")
    for name, value in model_yaml()["train"]["hyperparameters"].items():
        assert used[name] == value, name


def test_only_the_last_checkpoints_stay(trained: Path) -> None:
    """Three, and nothing half-written."""
    assert sorted(file.name for file in (trained / "checkpoints").iterdir()) == CHECKPOINTS


@pytest.mark.parametrize("at", [20, 30, 40])
def test_resumed_at_a_checkpoint_gives_the_same_model(trained: Path, sets: Path, tmp_path: Path, at: int) -> None:
    """Byte for byte the model of the uninterrupted training."""
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    shutil.copy(trained / f"checkpoints/checkpoint-0000{at}.ubj", checkpoints)
    done = kit.train(sets, tmp_path / "model", checkpoints)
    assert done.stdout.startswith(f"Resuming from checkpoint at round {at} of 40\n"), done.stderr
    assert (tmp_path / "model/model.ubj").read_bytes() == (trained / "model/model.ubj").read_bytes()


def test_killed_training_goes_on_to_the_same_model(trained: Path, sets: Path, tmp_path: Path) -> None:
    """SIGKILL, as when Spot takes the machine: whatever is in the folder is enough to go on from."""
    checkpoints = tmp_path / "checkpoints"
    process = start_training(sets, tmp_path, checkpoints)
    wait_for_line(process, "[20]")  # the first checkpoint, at round 10, is written by now
    process.kill()
    process.communicate()
    done = kit.train(sets, tmp_path / "model", checkpoints)
    assert re.match(r"Resuming from checkpoint at round [1-4]0 of 40\n", done.stdout), done.stdout + done.stderr
    assert (tmp_path / "model/model.ubj").read_bytes() == (trained / "model/model.ubj").read_bytes()


def test_broken_checkpoint_is_skipped(trained: Path, sets: Path, tmp_path: Path) -> None:
    """Cut off, empty or rubbish: the one before is used, the model stays the same."""
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(trained / "checkpoints", checkpoints)
    newest, middle = checkpoints / CHECKPOINTS[2], checkpoints / CHECKPOINTS[1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    middle.write_bytes(b"rubbish")
    (checkpoints / "checkpoint-000050.ubj").touch()
    (checkpoints / "notes.txt").touch()
    done = kit.train(sets, tmp_path / "model", checkpoints)
    said = done.stdout.splitlines()
    assert said[:3] == [f"Skipping checkpoint-0000{at}.ubj: not a readable checkpoint" for at in (50, 40, 30)], (
        done.stderr
    )
    assert said[3] == "Resuming from checkpoint at round 20 of 40"
    assert (tmp_path / "model/model.ubj").read_bytes() == (trained / "model/model.ubj").read_bytes()


@pytest.mark.parametrize("option", [("--max_depth", "3"), ("--seed", "1"), ("--checkpoint_every", "20")])
def test_other_hyperparameters_start_anew(trained: Path, sets: Path, tmp_path: Path, option: tuple[str, str]) -> None:
    """A checkpoint of other hyperparameters would give a model that nobody asked for."""
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    done = kit.train(sets, tmp_path / "model", tmp_path / "checkpoints", *option)
    assert done.stdout.count("it belongs to other hyperparameters or other data") == 3
    assert "\nStarting from round 0\n" in done.stdout


def test_other_data_start_anew(trained: Path, sets: Path, tmp_path: Path) -> None:
    """The same checkpoints with a training set that lacks some rows."""
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    shutil.copytree(sets / "validation", tmp_path / "validation")
    (tmp_path / "train").mkdir()
    kit.jobs_python(
        "import json, pandas as pd\n"
        "pd.read_parquet(sys.argv[1]).head(5000).to_parquet(sys.argv[2] + '/train.parquet')\nprint(0)",
        sets / "train", tmp_path / "train",
    )  # fmt: skip
    done = kit.train(tmp_path, tmp_path / "model", tmp_path / "checkpoints")
    assert "\nStarting from round 0\n" in done.stdout, done.stderr


def test_sigterm_leaves_a_checkpoint_to_go_on_from(sets: Path, tmp_path: Path) -> None:
    """Asked to stop, it ends at the next checkpoint with 143 and no artefact; the next start goes on from there."""
    long = ("--num_round", "5000")  # it must not end by itself before the signal comes
    process = start_training(sets, tmp_path, tmp_path / "checkpoints", *long)
    wait_for_line(process, "[10]")
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, rest
    assert "SIGTERM received" in rest
    assert not (tmp_path / "model/model.ubj").exists()
    again = start_training(sets, tmp_path, tmp_path / "checkpoints", *long)
    wait_for_line(again, "Resuming from checkpoint at round ")
    again.kill()
    again.communicate()


def test_channel_without_data(sets: Path, tmp_path: Path) -> None:
    """One sentence, not a traceback."""
    done = kit.train(tmp_path, tmp_path / "model", tmp_path / "checkpoints")
    assert done.returncode == 1
    assert done.stderr.strip() == f"{tmp_path}/train: no parquet file; this channel must hold what preprocess.py writes"


def start_training(sets: Path, base: Path, checkpoints: Path, *options: str) -> subprocess.Popen[str]:
    """A small training in the background, its output in a pipe."""
    command = [str(kit.PYTHON), str(kit.FOLDER / "train.py"), *kit.SMALL, "--model_dir", str(base / "model")]
    command += ["--train", str(sets / "train"), "--validation", str(sets / "validation")]
    command += ["--checkpoint_dir", str(checkpoints), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_line(process: subprocess.Popen[str], start: str) -> None:
    """Read the output up to a line that starts so."""
    assert process.stdout is not None
    assert any(line.startswith(start) for line in process.stdout), f"no line {start!r}"


def model_yaml() -> dict[str, dict[str, list[dict[str, str]] | dict[str, float]]]:
    """model.yaml as it is."""
    return yaml.safe_load((kit.FOLDER / "model.yaml").read_text())
