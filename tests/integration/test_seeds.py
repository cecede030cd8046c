"""The raw data that a model brings for a laptop: there before the first run, and following sample_data.py."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from include.laptop.layout import Addresses
from include.laptop.stack import seeds
from tests.conftest import LocalSageMaker
from tests.kits.project import ENVIRONMENT, ExampleProject

SAMPLE = """\
import sys
from pathlib import Path
for month in {months}:
    folder = Path(sys.argv[2]) / f"period={{month}}"
    folder.mkdir()
    (folder / "{file}").write_text("{text}")
"""


class Field:
    """A project whose model has sample data, and a bucket of its own on the local SageMaker."""

    def __init__(self, server: LocalSageMaker, project: ExampleProject, name: str) -> None:
        self.where = Addresses(8080, server.port)
        self.project, self.s3 = project, server.client("s3")
        project.write_environment(
            ENVIRONMENT.replace("environment: test", "environment: local") + f"prefix: {name}\n", "local"
        )
        self.prefix = f"{name}/demo_model/raw/"

    def seed(self, months: str = "01 02", file: str = "data.csv", text: str = "a") -> list[str]:
        """Write sample_data.py and seed the bucket; what was reported."""
        code = SAMPLE.format(months=[f"2013-{month}" for month in months.split()], file=file, text=text)
        (self.project.folder / "sample_data.py").write_text(code)
        reported: list[str] = []
        seeds.seed(self.where, ["demo_model"], lambda what, seconds: reported.append(what))
        return reported

    def put(self, key: str, body: str) -> None:
        self.s3.put_object(Bucket="demo-bucket", Key=f"{self.prefix}{key}", Body=body.encode())

    def there(self) -> dict[str, str]:
        """Every object of every month with its content."""
        found = self.s3.list_objects_v2(Bucket="demo-bucket", Prefix=f"{self.prefix}period=").get("Contents", [])
        bodies = {
            item["Key"]: self.s3.get_object(Bucket="demo-bucket", Key=item["Key"])["Body"].read() for item in found
        }
        return {key.removeprefix(f"{self.prefix}period=2013-"): body.decode() for key, body in bodies.items()}


@pytest.fixture
def field(sagemaker_local: LocalSageMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Field:
    project = ExampleProject(tmp_path)
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    monkeypatch.setattr(seeds, "MODELS", project.root / "models")
    monkeypatch.setattr(seeds, "JOBS_PYTHON", Path(sys.executable))
    return Field(sagemaker_local, project, f"seeds-{uuid.uuid4().hex}")


def both(text: str, file: str = "data.csv", months: str = "01 02") -> dict[str, str]:
    return {
        key: body for month in months.split() for key, body in ((f"{month}/_SUCCESS", ""), (f"{month}/{file}", text))
    }


def test_they_are_where_the_runs_of_the_environment_read_them(field: Field) -> None:
    assert field.seed() == ["raw data of demo_model"]
    assert field.there() == both("a")
    assert seeds.months(field.where, "demo_model") == ["2013-01", "2013-02"]
    assert field.seed() == [], "nothing changed"


def test_they_follow_the_script(field: Field) -> None:
    """Other content, another file, other months: what was seeded before is replaced as a whole."""
    field.seed(text="a")
    field.seed(text="b")
    assert field.there() == both("b")
    field.seed(file="rows.csv", text="b")
    assert field.there() == both("b", "rows.csv")
    field.seed(months="02 03", text="c")
    assert field.there() == both("c", months="02 03")


@pytest.mark.parametrize(("key", "body"), [("period=2013-02/data.csv", "mine"), ("period=2013-02/more.csv", "mine")])
def test_a_month_that_the_user_changed_stays(field: Field, key: str, body: str) -> None:
    field.seed(text="a")
    field.put(key, body)
    field.put("period=2013-07/data.csv", body)
    before = {name: text for name, text in field.there().items() if not name.startswith("01/")}
    field.seed(months="01 02 03 07", text="b")
    assert field.there() == {**before, **both("b", months="01 03")}
    field.seed(months="01 02 03 07", text="c")
    assert field.there() == {**before, **both("c", months="01 03")}


def test_data_that_we_never_put_there_are_the_users(field: Field) -> None:
    field.s3.create_bucket(Bucket="demo-bucket")
    field.put("period=2013-05/data.csv", "mine")
    assert field.seed() == []
    assert field.there() == {"05/data.csv": "mine"}


def test_a_change_of_the_models_code_alone_writes_nothing_anew(field: Field) -> None:
    def written() -> list[Any]:
        listed = field.s3.list_objects_v2(Bucket="demo-bucket", Prefix=f"{field.prefix}period=")["Contents"]
        return [(item["Key"], item["LastModified"]) for item in listed]

    field.seed()
    before = written()
    (field.project.folder / "train.py").write_text("x = 1\n")
    assert field.seed() == ["raw data of demo_model"]
    assert written() == before
