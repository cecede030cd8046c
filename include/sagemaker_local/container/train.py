"""What `train` is in this project's training "container": AWS's training toolkit, as framework containers run it.

Runs under the job environment's Python. The toolkit reads /opt/ml/input/config, fetches the submitted source code,
and runs the entry point with the hyperparameters as arguments. With `capture_error` the end of the script's
traceback becomes the job's FailureReason.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from sagemaker_training import entry_point, environment, errors, files, process, trainer

ML = "/opt/ml"


class WholeLines:
    """A stream of the script's output that is read in whole lines.

    The toolkit prints what it reads as lines, so that a line written in two pieces, as unbuffered Python writes
    `print("auc", 0.7)`, would become two log events, and its metric would be lost.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def read(self, size: int) -> bytes:
        """At least one line, or what is left at the end."""
        data: bytes = await self._stream.read(size)
        while data and not data.endswith(b"\n"):
            more = await self._stream.read(size)
            if not more:
                break
            data += more
        return data


def main() -> None:
    """Run the user's script. Raises the toolkit's errors, which become the failure file and exit code 1."""
    env = environment.Environment()
    if not env.user_entry_point:
        raise errors.ClientError(
            "The local SageMaker has no built-in algorithms: give the hyperparameters sagemaker_program (such as "
            "train.py) and sagemaker_submit_directory (s3://…/sourcedir.tar.gz), or "
            "AlgorithmSpecification.ContainerEntrypoint."
        )
    print_whole_lines()
    if environment.base_dir != ML:
        files.download_and_extract(uri=env.module_dir, path=environment.code_dir)
        rewrite_code(Path(environment.code_dir), environment.base_dir)
    entry_point.run(env.module_dir, env.user_entry_point, env.to_cmd_args(), env.to_env_vars(), capture_error=True)


def print_whole_lines() -> None:
    """Make the toolkit read the script's output through WholeLines."""
    watch = process.watch

    async def watch_lines(stream: Any, *arguments: Any, **options: Any) -> Any:
        return await watch(stream and WholeLines(stream), *arguments, **options)

    process.watch = watch_lines


def rewrite_code(folder: Path, base_dir: str) -> None:
    """Put the job's directory in place of /opt/ml in its code: this machine cannot give it an /opt/ml of its own."""
    for path in [*folder.rglob("*.py"), *folder.rglob("*.sh")]:
        path.write_bytes(path.read_bytes().replace(ML.encode(), base_dir.encode()))


if __name__ == "__main__":
    os.environ["SAGEMAKER_TRAINING_MODULE"] = "__main__:main"
    sys.exit(trainer.train())
