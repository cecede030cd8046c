"""A folder laid out as `/usr/local/airflow` is on MWAA: plugins.zip unpacked, dags/ beside it, no repository in sight.

Where MWAA does what: images/airflow/3.3.1 of https://github.com/aws/amazon-mwaa-docker-images (Dockerfile.base,
python/mwaa/entrypoint.py, python/mwaa/utils/user_requirements.py, bin/airflow-user).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

UV = REPOSITORY / ".venv-uv" / "bin" / "uv"
AIRFLOW = "/usr/local/airflow"
"""MWAA's AIRFLOW_HOME; the built files name it, and here it is another folder."""

PROBE = """\
import importlib, json, pkgutil, sys
from airflow import plugins_manager
plugins, plugin_errors = plugins_manager._get_plugins()
import code
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
heavy = sorted({"pandas", "pyarrow", "sklearn", "sagemaker", "moto", "include"} & set(sys.modules))
import sagemaker_retraining
modules = [one.name for one in pkgutil.walk_packages(sagemaker_retraining.__path__, "sagemaker_retraining.")]
for name in modules:
    importlib.import_module(name)
print(json.dumps({
    "plugins": [str(one) for one in plugins],
    "plugin_errors": plugin_errors,
    "code": code.__file__,
    "main": sys.modules["__main__"].__doc__,
    "package": sagemaker_retraining.__file__,
    "modules": len(modules),
    "dags": sorted(bag.dags),
    "dag_errors": bag.import_errors,
    "heavy": heavy,
}))
"""
"The plugin loader, the DAG parser, and every module of the package, in one process."


class Deployed:
    """The folder, and a Python that has Airflow and what was installed there, and nothing of the repository."""

    def __init__(self, home: Path, python: Path | None = None) -> None:
        """`python`: of an environment that has Airflow; without it one that borrows the packages of the tests."""
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.python = python or self._borrowed()
        self.variables: dict[str, str] = {}

    def _borrowed(self) -> Path:
        """An environment that finds the packages of the one that runs the tests: a folder in a .pth file brings its
        packages, but not its own .pth files, so neither the repository nor its plugins/ are on the path."""
        venv = self.home / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(venv)}))
        (site / "airflow.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return venv / "bin" / "python"

    def upload(self, built: Path) -> Deployed:
        """What MWAA does with dist/mwaa: unpack plugins.zip, sync dags/, put the two files in their places."""
        with zipfile.ZipFile(built / "plugins.zip") as archive:
            archive.extractall(self.home / "plugins")
        shutil.copytree(built / "dags", self.home / "dags")
        for name, folder in (("requirements.txt", "requirements"), ("startup.sh", "startup")):
            (self.home / folder).mkdir()
            text = (built / name).read_text().replace(AIRFLOW, str(self.home))
            (self.home / folder / name).write_text(text)
        return self

    def start_up(self) -> Deployed:
        """Source startup.sh as `execute-user-startup-script` does, and keep what it exports."""
        show = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        source = ["/bin/bash", "-c", f'. "{self.home}/startup/startup.sh"; {show}']
        done = subprocess.run(source, env={"PATH": os.defpath}, capture_output=True, text=True, check=True)
        exported: dict[str, str] = json.loads(done.stdout)
        self.variables = {key: exported[key] for key in exported if key.startswith("RETRAINING_")}
        return self

    def run(self, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python there, with MWAA's variables and those of startup.sh."""
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "AWS_DEFAULT_REGION": "eu-west-1",
            **self.variables,
            **variables,
        }
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=300,
        )

    def probe(self) -> dict[str, Any]:
        """What Airflow's plugin loader and DAG parser find; fails when they end the process."""
        done = self.run("-c", PROBE, str(self.home / "dags"), check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def import_error(self) -> str:
        """The last line of what Airflow shows when a DAG file cannot be imported; empty when it can."""
        done = self.run(str(self.home / "dags" / "flight_delay.py"), check=False)
        return done.stderr.splitlines()[-1] if done.returncode else ""

    def lose_dot_files(self) -> None:
        """What a glob such as `plugins/*` or an upload by hand leaves out."""
        for folder in ("dags", "plugins"):
            for path in (self.home / folder).rglob(".*"):
                path.unlink()
