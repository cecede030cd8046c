"""`python -m include.sagemaker_local.compare <file>`: where a recording of AWS and the local SageMaker differ.

Exit status 0: nowhere; 1: somewhere; 2: there was nothing to compare.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from include.sagemaker_local.compare.differences import differences
from include.sagemaker_local.compare.replay import RecordingError, local_sagemaker, read, replay

_PYTHON = Path(".venv-jobs/bin/python")


def main(arguments: list[str] | None = None) -> int:
    """Replay, and print every difference below the request that has it."""
    parser = argparse.ArgumentParser(
        prog="python -m include.sagemaker_local.compare",
        description="Replay a recording of `make aws-smoke` on a fresh local SageMaker; print where answers differ.",
    )
    parser.add_argument("file", type=Path, help="the recording, .local/aws-smoke/<environment>-….jsonl")
    file = parser.parse_args(arguments).file
    try:
        about, lines = read(file)
        with local_sagemaker(_PYTHON) as url:
            count = 0
            for line, ours in replay(about, lines, url):
                found = list(differences(line, ours))
                count += len(found)
                if found:
                    sys.stdout.write(
                        f"{line['name']}: {line['operation']}\n" + "".join(f"  {text}\n" for text in found)
                    )
                    sys.stdout.flush()
    except RecordingError as error:
        sys.stdout.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{len(lines)} requests of {about.get('made')} in {about.get('region')}: {count} differences\n")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
