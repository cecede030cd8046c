"""A job has an /opt/ml of its own and ends with everything it started, in every mode that this machine can do."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from include.sagemaker_local.containers import isolation
from include.sagemaker_local.containers.container import Container
from include.sagemaker_local.containers.launcher import MOUNTS, NAMESPACES, REWRITE
from tests.conftest import JOBS_PYTHON, LocalSageMaker
from tests.kits.job_kit import Jobs, archive, eventually, processes

MODES = [mode for mode in (NAMESPACES, MOUNTS) if isolation.try_out(mode, JOBS_PYTHON) is None] + [REWRITE]


class Run:
    """A container that runs a Python program, and what it printed."""

    def __init__(
        self, mode: str, directory: Path, program: str, marker: str, env: dict[str, str] | None = None
    ) -> None:
        isolation.prepare(directory)
        self.lines: list[str] = []
        self.ended = threading.Event()
        command = [str(JOBS_PYTHON), "-u", "-c", program, "/opt/ml", marker]
        self.container = Container(
            mode, directory, command, env or {}, on_line=self.lines.append, on_exit=self.ended.set
        )

    def exit_code(self) -> int | None:
        """Wait for the end."""
        assert self.ended.wait(30)
        return self.container.exit_code


@pytest.mark.parametrize("mode", MODES)
def test_a_job_has_its_own_opt_ml_and_exit_code(mode: str, tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
root = Path(sys.argv[1])
print((root / "given.txt").read_text(), sorted(os.listdir("/opt")) if len(sys.argv) > 3 else "")
(root / "made.txt").write_text("made")
sys.exit(5)
"""
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml/given.txt").write_text("given")
    run = Run(mode, tmp_path, program, "own-opt-ml")
    assert run.exit_code() == 5
    assert run.lines == ["given "]
    assert (tmp_path / "ml/made.txt").read_text() == "made"


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != REWRITE])
def test_the_rest_of_opt_and_the_name_algo_1_are_visible(mode: str, tmp_path: Path) -> None:
    program = "import os, socket; print(sorted(os.listdir('/opt'))); print(socket.gethostbyname('algo-1'))"
    run = Run(mode, tmp_path, program, "rest-of-opt")
    assert run.exit_code() == 0
    outside = [path.name for path in Path("/opt").iterdir()] if Path("/opt").is_dir() else []
    assert run.lines == [str(sorted({*outside, "ml"})), "127.0.0.1"]


@pytest.mark.parametrize("mode", MODES)
def test_killing_a_job_kills_its_whole_family(mode: str, tmp_path: Path) -> None:
    marker = f"family-of-{mode}"
    program = """
import subprocess, sys, time
sleep = "import time; time.sleep(600)"
subprocess.Popen([sys.executable, "-c", sleep, sys.argv[2]])
subprocess.Popen([sys.executable, "-c", sleep, sys.argv[2]], start_new_session=True)
print("ready")
time.sleep(600)
"""
    run = Run(mode, tmp_path, program, marker)
    eventually(lambda: run.lines == ["ready"] and len(processes(marker)) == 4)  # with the launcher
    run.container.kill()
    assert run.exit_code() == 137
    assert processes(marker) == []


@pytest.mark.parametrize("mode", MODES)
def test_what_a_job_leaves_running_ends_with_it(mode: str, tmp_path: Path) -> None:
    marker = f"left-by-{mode}"
    program = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[2]], start_new_session=True)
"""
    run = Run(mode, tmp_path, program, marker)
    assert run.exit_code() == 0
    assert processes(marker) == []


@pytest.mark.parametrize("mode", MODES)
def test_sigterm_reaches_a_job_that_handles_it(mode: str, tmp_path: Path) -> None:
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print("ready")
time.sleep(600)
"""
    run = Run(mode, tmp_path, program, "handles-sigterm")
    eventually(lambda: run.lines == ["ready"])
    run.container.terminate()
    assert run.exit_code() == 9


@pytest.mark.parametrize("mode", MODES)
def test_a_job_dies_with_the_process_that_started_it(mode: str, tmp_path: Path) -> None:
    marker = f"orphan-of-{mode}"
    owner = f"""
import os, sys, time
from pathlib import Path
from include.sagemaker_local.containers import isolation
from include.sagemaker_local.containers.container import Container
directory = Path({str(tmp_path)!r})
isolation.prepare(directory)
command = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)", {marker!r}]
Container({mode!r}, directory, command, {{}}, on_line=lambda line: os.kill(os.getpid(), 9), on_exit=lambda: None)
time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", owner], check=False, timeout=60).returncode == -9
    eventually(lambda: processes(marker) == [], "the end of the orphan")


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != REWRITE])
def test_what_a_job_installs_is_its_own(mode: str, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    (environment / "package.txt").write_text("version 1")
    program = f"""
from pathlib import Path
package = Path({str(environment)!r}, "package.txt")
print(package.read_text())
package.write_text("version 2")
print(package.read_text())
"""
    run = Run(mode, tmp_path / "job", program, "installs", {"PATH": str(environment / "bin")})
    assert run.exit_code() == 0
    assert run.lines == ["version 1", "version 2"]
    assert (environment / "package.txt").read_text() == "version 1"
    isolation.remove(tmp_path / "job")
    assert not (tmp_path / "job").exists()


class RewritingSageMaker(LocalSageMaker):
    """A local SageMaker that believes that this machine has no namespaces."""

    program = (
        "-c",
        "import sys; from include.sagemaker_local.containers import isolation; "
        "isolation.probe = lambda python: 'rewrite'; "
        "from include.sagemaker_local.__main__ import main; sys.exit(main())",
    )


def test_without_namespaces_jobs_still_run_with_opt_ml_rewritten(tmp_path: Path) -> None:
    server = RewritingSageMaker(tmp_path / "state").start()
    try:
        jobs = Jobs(server)
        assert server.health()["isolation"] == "rewrite"
        script = """
from pathlib import Path
import helper
out = Path("/opt/ml/processing/output/out/found.txt")
out.write_text(f"{out} {helper.ROOT} {Path('/opt/ml/config/resourceconfig.json').exists()}")
"""
        jobs.put("rewrite-p/code/helper.py", "ROOT = '/opt/ml/processing'")
        jobs.put("rewrite-p/code/run.py", script)
        folder = jobs.input("code", f"s3://{server.bucket}/rewrite-p/code/")
        job = jobs.process("rewrite-p", script, ProcessingInputs=[folder])
        assert job["ProcessingJobStatus"] == "Completed", jobs.log_streams("Processing", "rewrite-p")
        path, root, configured = jobs.get("rewrite-p/out/found.txt").decode().split()
        assert path.startswith(str(server.state))
        assert root.startswith(str(server.state))
        assert configured == "True"
        _train_rewritten(jobs)
    finally:
        assert server.stop() == 0


def _train_rewritten(jobs: Jobs) -> None:
    request: dict[str, Any] = jobs.training_request("rewrite-t", "")
    program = (
        "from pathlib import Path; Path('/opt/ml/model/m.txt').write_text(Path('/opt/ml/checkpoints/c').read_text())"
    )
    jobs.put("rewrite-t/sourcedir.tar.gz", archive({"train.py": program}))
    jobs.put("rewrite-t/checkpoints/c", "kept")
    request["CheckpointConfig"] = {"S3Uri": f"s3://{jobs.server.bucket}/rewrite-t/checkpoints/"}
    jobs.sagemaker.create_training_job(**request)
    job = jobs.end_of_training("rewrite-t")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    [lines] = jobs.log_streams("Training", "rewrite-t")
    assert lines[0].startswith("[local SageMaker] no namespaces on this machine")
