"""What `train` is in this project's training "container": what AWS's XGBoost image does in script mode.

The image runs sagemaker-containers 2.8.6 (https://github.com/aws/sagemaker-containers, `_trainer.py`, `_modules.py`):
it fetches the submitted code, installs it with `pip install .`, runs `python -m <module>` with the hyperparameters as
arguments, and tells of a script that failed no more than its command. That toolkit is of 2020 and does not install
beside today's packages (its protobuf, Flask and C extension), so what can be seen of it from outside is made here, with
the parts that its successor sagemaker-training has in common with it. Runs under the job environment's Python.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
import traceback
from pathlib import Path

from sagemaker_training import environment, files, logging_config

ML = "/opt/ml"
MODULE = "sagemaker_xgboost_container.training:main"
SETUP = """
from setuptools import setup
setup(packages=[''],
      name="{name}",
      version='1.0.0',
      include_package_data=True)
"""
# Set by the successor only: a script that read one of these would fail in the image.
NOT_SET = {
    "SM_CURRENT_INSTANCE_GROUP",
    "SM_CURRENT_INSTANCE_GROUP_HOSTS",
    "SM_CURRENT_INSTANCE_TYPE",
    "SM_DISTRIBUTION_INSTANCE_GROUPS",
    "SM_INSTANCE_GROUPS",
    "SM_INSTANCE_GROUPS_DICT",
    "SM_IS_HETERO",
    "SM_NUM_NEURONS",
    "SM_TOPOLOGY",
}
log = logging.getLogger("sagemaker-containers")


class ClientError(Exception):
    """The user's code or settings are at fault; the text becomes the job's FailureReason."""


def train() -> int:
    """Run the user's script: the container's exit code, which is 1 for any failure of the script."""
    try:
        run_script()
        log.info("Reporting training SUCCESS")
        files.write_success_file()
        return 0
    except ClientError as error:
        message, code = str(error), 1
    except Exception as error:
        message, code = f"framework error: \n{traceback.format_exc()}\n{error}", getattr(error, "errno", None) or 1
        log.error("Reporting training FAILURE")
    files.write_failure_file(message)
    log.error(message)
    return code


def run_script() -> None:
    """Fetch, install and run what the hyperparameters sagemaker_program and sagemaker_submit_directory say."""
    env = environment.Environment()
    logging_config.configure_logger(env.log_level)
    if not env.user_entry_point:
        raise ClientError(
            "The local SageMaker has no built-in algorithms: give the hyperparameters sagemaker_program (such as "
            "train.py) and sagemaker_submit_directory (s3://…/sourcedir.tar.gz), or "
            "AlgorithmSpecification.ContainerEntrypoint."
        )
    log.info("Invoking user training script.")
    code = Path(environment.code_dir)
    files.download_and_extract(uri=env.module_dir, path=str(code))
    if environment.base_dir != ML:
        rewrite_code(code, environment.base_dir)
    install(code, env.module_name)
    variables = {name: value for name, value in env.to_env_vars().items() if name not in NOT_SET}
    command = [sys.executable, "-m", env.module_name, *env.to_cmd_args()]
    logging_config.log_script_invocation(command, variables, log)
    os.environ.update(variables)
    call(command, code, "ExecuteUserScriptError")


def install(code: Path, name: str) -> None:
    """`pip install .` of the code, with its requirements.

    Of a folder of modules alone pip's work is not to be seen, because `python -m` looks into the folder first, and
    costs two seconds for each job: it is left out. What names packages, has a setup of its own, or a name that no
    package may have is installed as it is in the image.
    """
    requirements = code / "requirements.txt"
    plain = not requirements.exists() and not (code / "pyproject.toml").exists() and re.fullmatch(r"[\w.-]+", name)
    if not (code / "setup.py").exists():
        log.info("Module %s does not provide a setup.py. \nGenerating setup.py", name)
        (code / "setup.py").write_text(SETUP.format(name=name))
        (code / "setup.cfg").write_text("\n[wheel]\nuniversal = 1\n")
        (code / "MANIFEST.in").write_text("\nrecursive-include . *\nrecursive-exclude . __pycache__*\n")
    else:
        plain = None
    command = f"{sys.executable} -m pip install . {'-r requirements.txt' if requirements.exists() else ''}"
    log.info("Installing module with the following command:\n%s", command)
    if not plain:
        call(shlex.split(command), code, "InstallModuleError")


def call(command: list[str], folder: Path, error: str) -> None:
    """Run a command with this process's output. Raises ClientError that names the command alone when it fails."""
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise ClientError(f'{error}:\nCommand "{" ".join(command)}"')


def rewrite_code(folder: Path, base_dir: str) -> None:
    """Put the job's directory in place of /opt/ml in its code: this machine cannot give it an /opt/ml of its own."""
    for path in [*folder.rglob("*.py"), *folder.rglob("*.sh")]:
        path.write_bytes(path.read_bytes().replace(ML.encode(), base_dir.encode()))


if __name__ == "__main__":
    os.environ["SAGEMAKER_TRAINING_MODULE"] = MODULE
    sys.exit(train())
