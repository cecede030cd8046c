"""Set-up: which Python is taken, what is refused before anything is installed, and when it has nothing to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from include.laptop.setup import environments
from include.laptop.setup.environments import Environment, SetupError

ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))
GPU = ("nvidia", "torch", "tensorflow", "cupy", "triton")


def find_python(folder: Path, wanted: str = "") -> subprocess.CompletedProcess[str]:
    """Run find_python.sh where only the programs of `folder` are on PATH."""
    script = ROOT / "include" / "laptop" / "setup" / "find_python.sh"
    return subprocess.run(
        ["/bin/sh", str(script), wanted],
        env={"PATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def fake_python(file: Path, version: str) -> None:
    """A program that says it is an old Python, and fails when asked to run code, as one without the syntax would."""
    file.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit 0\nexit 1\n')
    file.chmod(0o755)


def test_old_python_is_named_with_its_version(tmp_path: Path) -> None:
    fake_python(tmp_path / "python3", "3.9.2")
    found = find_python(tmp_path)
    assert found.returncode == 1
    assert found.stderr.startswith("Python 3.11 or 3.12 is needed, but python3 is Python 3.9.2. Install one")
    assert found.stderr.count("\n") == 1


def test_an_old_python3_does_not_hide_a_good_one(tmp_path: Path) -> None:
    fake_python(tmp_path / "python3", "3.9.2")
    (tmp_path / "python3.12").symlink_to(sys.executable)
    found = find_python(tmp_path)
    assert found.stdout.strip() == os.path.realpath(sys.executable)


def test_the_named_python_is_taken_or_refused_but_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "python3.11").symlink_to(sys.executable)
    refused = find_python(tmp_path, "/nowhere/python3.11")
    assert refused.returncode == 1
    assert "none was found at /nowhere/python3.11" in refused.stderr


def test_no_python_at_all(tmp_path: Path) -> None:
    found = find_python(tmp_path)
    assert found.returncode == 1
    assert "none was found" in found.stderr


def test_too_little_disk() -> None:
    with pytest.raises(SetupError, match=r"needs 3 GB of free disk and .* has 1\.2 GB"):
        environments.check_machine(1_200_000_000)


def test_no_compiler() -> None:
    with pytest.raises(SetupError, match=r"No C compiler: no-such-cc does not start.*apt-get install gcc"):
        environments.check_compiler(["no-such-cc"])


def test_no_python_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    with pytest.raises(SetupError, match=r"no headers of Python \(Python\.h\)"):
        environments.check_compiler(["cc"])


def test_registry_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real uv against a port where nothing listens."""
    monkeypatch.setattr(environments, "LOG", tmp_path / "setup.log")
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0"}
    with pytest.raises(SetupError, match="registry cannot be reached: check the network"):
        environments.execute(
            [UV, "pip", "install", "--no-config", "--target", str(tmp_path / "x"), "idna==3.10"], nowhere
        )


def test_another_failure_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "LOG", tmp_path / "setup.log")
    with pytest.raises(SetupError, match=r"sh failed: disk quota exceeded \(details: "):
        environments.execute(["/bin/sh", "-c", "echo disk quota exceeded; exit 3"], {})


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment whose lock is empty."""
    (tmp_path / "lock.txt").write_text("")
    return Environment("title", tmp_path / "venv", tmp_path / "lock.txt")


def test_an_interrupted_install_is_not_ready_and_made_anew(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "LOG", tmp_path / "setup.log")
    leftover = environment.folder / "bin" / "python"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half a Python")
    assert not environment.is_ready()
    environments.install(environment, UV)
    assert environment.is_ready()
    assert subprocess.run([leftover, "-c", ""], check=False).returncode == 0


def test_the_project_is_installed_editable_and_without_an_index(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "LOG", tmp_path / "setup.log")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    environments.install(environment, UV)
    environments.install_project(environment, UV)
    probe = "import sys, sagemaker_retraining; print(sagemaker_retraining.__file__, sys.path)"
    bin_folder = environment.folder / "bin"
    file, path = subprocess.check_output([bin_folder / "python", "-c", probe], cwd=tmp_path, text=True).split(" ", 1)
    assert file == str(ROOT / "plugins" / "sagemaker_retraining" / "__init__.py")
    assert f"'{ROOT}'" not in path
    assert (bin_folder / "sagemaker-retraining").exists()


def test_a_new_lock_or_another_place_is_not_ready(environment: Environment, tmp_path: Path) -> None:
    environment.folder.mkdir()
    (environment.folder / "bin").mkdir()
    (environment.folder / "bin" / "python").touch()
    (environment.folder / environments.STAMP).write_text(json.dumps(environment.stamp()))
    assert environment.is_ready()
    environment.lock.write_text("idna==3.10\n")
    assert environment.is_sound()
    assert not environment.is_ready()
    environment.folder.rename(tmp_path / "moved")
    assert not Environment("title", tmp_path / "moved", environment.lock).is_sound()


def test_make_run_keeps_the_tools_of_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the lock has changed since: `make run` brings a `.venv` of profile dev up to date as that."""
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    assert [one.group for one in environments.wanted("run")] == ["run", ""]
    dev = environments.wanted("dev")[0]
    (dev.folder / "bin").mkdir(parents=True)
    (dev.folder / "bin" / "python").touch()
    (dev.folder / environments.STAMP).write_text(json.dumps({**dev.stamp(), "lock": "of last week"}))
    assert [one.group for one in environments.wanted("run")] == ["dev", ""]
    assert not dev.is_ready()


@pytest.mark.parametrize("lock", sorted((ROOT / "locks").glob("*.txt")), ids=lambda lock: lock.name)
def test_locks_hold_hashes_and_no_gpu_packages(lock: Path) -> None:
    text = lock.read_text()
    pins = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
    names = {line.split("==")[0].strip() for line in pins}
    assert names
    assert not [name for name in names if name.startswith(GPU) or name == "xgboost"]
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_lock_is_the_one_of_pyproject_toml() -> None:
    checked = subprocess.run(
        [UV, "lock", "--check", "--offline"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_lock_holds_hashes_and_no_gpu_packages() -> None:
    packages = [one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if "registry" in one["source"]]
    assert len(packages) > 200
    assert {one["source"]["registry"] for one in packages} == {"https://pypi.org/simple"}
    assert not [one["name"] for one in packages if one["name"].startswith(GPU) or one["name"] == "xgboost"]
    files = [file for one in packages for file in [*one.get("wheels", []), *filter(None, [one.get("sdist")])]]
    assert all(file["hash"].startswith("sha256:") for file in files)


def test_dev_holds_all_that_run_needs_in_the_same_versions() -> None:
    """So that `make run` after `make test` has nothing to install; the SageMaker SDK is there on Python 3.11 only."""

    def lines(group: str) -> set[str]:
        export = [UV, *environments.EXPORT, "--no-hashes", "--no-annotate", "--no-header", "--group", group]
        return set(subprocess.check_output(export, cwd=ROOT, text=True).splitlines())

    assert lines("run") <= lines("dev")
    assert not [line for line in lines("run") if line.startswith("sagemaker==")]
    [sdk] = [line for line in lines("dev") if line.startswith("sagemaker==")]
    assert "python_full_version < '3.12'" in sdk


def test_requirements_say_what_the_group_airflow_says() -> None:
    """People and tools read `requirements.txt`, set-up and `make package` the group."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert [line for line in lines if not line.startswith("#")] == project["dependency-groups"]["airflow"]


def test_pre_commit_runs_what_make_lint_runs() -> None:
    target = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [hook["entry"].removesuffix(" --force-exclude") for hook in hooks]
    assert entries == [f".venv/bin/{line}" for line in re.findall(r"^\t@\$\(BIN\)/(.*)$", target, re.MULTILINE)]
