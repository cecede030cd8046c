"""docs/aws.md: its commands run as they stand there, with the local SageMaker in place of AWS."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sagemaker_retraining.config import EnvironmentConfig
from tests.conftest import REPOSITORY, LocalSageMaker
from tests.ship.conftest import PROD

PAGE = (REPOSITORY / "docs" / "aws.md").read_text()
# MWAA is not behind the local SageMaker: the AWS CLI checks the arguments against the service model. `make package` was
# run by the fixture.
STAND_INS = """\
set -euo pipefail
make() { [ "$*" = "package ENV=prod" ] && cp -r "$DIST" dist; }
aws() {
    if [ "$1" = mwaa ]; then
        printf '%s\\n' "$@" > mwaa.txt
        command aws "$@" --generate-cli-skeleton output > /dev/null
    else
        command aws "$@"
    fi
}
"""


@pytest.fixture
def cloud(make_sagemaker_local: Callable[..., LocalSageMaker]) -> LocalSageMaker:
    """A local SageMaker with MWAA's own bucket in it."""
    server = make_sagemaker_local("aws").start()
    server.client("s3").create_bucket(Bucket="my-mwaa-bucket")
    server.client("s3").put_bucket_versioning(Bucket="my-mwaa-bucket", VersioningConfiguration={"Status": "Enabled"})
    return server


def test_the_environment_of_the_page_is_one() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert EnvironmentConfig.model_validate(yaml.safe_load(text)).environment == "prod"
    assert text == PROD, "it is the one that the tests package"


@pytest.mark.slow
def test_the_commands_of_the_page(cloud: LocalSageMaker, dist: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "flights.csv").write_text("month,delay\n2013-11,5\n")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["/bin/bash", "-c", STAND_INS + "\n".join(blocks)],
        cwd=tmp_path,
        env=cloud.environment() | {"PATH": path, "DIST": str(dist)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    s3 = cloud.client("s3")
    assert s3.get_bucket_versioning(Bucket="my-bucket")["Status"] == "Enabled"
    assert s3.get_bucket_location(Bucket="my-bucket")["LocationConstraint"] == "eu-west-1"
    blocked = s3.get_public_access_block(Bucket="my-bucket")["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(blocked.values())
    raw = s3.list_objects_v2(Bucket="my-bucket")["Contents"]
    assert [(one["Key"], one["Size"]) for one in raw] == [
        ("flight_delay/raw/period=2013-11/_SUCCESS", 0),
        ("flight_delay/raw/period=2013-11/flights.csv", 22),
    ]
    there = {one["Key"] for one in s3.list_objects_v2(Bucket="my-mwaa-bucket")["Contents"]}
    files = {path.relative_to(dist / "mwaa").as_posix() for path in (dist / "mwaa").rglob("*") if path.is_file()}
    assert there == files
    assert "dags/.airflowignore" in there, "aws s3 sync takes dot files"

    asked = (tmp_path / "mwaa.txt").read_text().splitlines()
    for name in ("plugins.zip", "requirements.txt", "startup.sh"):
        version = s3.list_object_versions(Bucket="my-mwaa-bucket", Prefix=name)["Versions"][0]["VersionId"]
        assert asked[asked.index(name) + 2] == version
