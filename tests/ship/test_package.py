"""`make package`: what it builds holds what production needs and no more, and Airflow's own loaders take it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from include.laptop.layout import LaptopError
from include.laptop.package import main, package, pinned
from sagemaker_retraining.config import project_root
from sagemaker_retraining.plan import package_code
from tests.conftest import REPOSITORY
from tests.ship.deployed import UV, Deployed

DAGS = ["flight_delay_promotion", "flight_delay_retraining", "flight_delay_rollback"]


@pytest.fixture
def mwaa(dist: Path, tmp_path: Path) -> Deployed:
    """dist/mwaa uploaded and installed, as far as versions are not the question."""
    deployed = Deployed(tmp_path / "airflow").upload(dist / "mwaa")
    install = [str(UV), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(deployed.python)]
    subprocess.run([*install, "-r", str(deployed.home / "requirements/requirements.txt")], check=True)
    return deployed


def beside_the_dags(built: Path, folder: Path) -> Deployed:
    """A build with include/ beside dags/ as AIRFLOW_HOME, its wheel installed, the two variables set."""
    deployed = Deployed(folder / "airflow")
    shutil.copytree(built, deployed.home, dirs_exist_ok=True)
    install = [str(UV), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(deployed.python)]
    subprocess.run([*install, str(next(deployed.home.glob("*.whl")))], check=True)
    deployed.variables = {"RETRAINING_HOME": str(deployed.home), "RETRAINING_ENV": "prod"}
    return deployed


class TestOnMwaa:
    @pytest.mark.aws_fact("airflow-plugins-executed")
    def test_airflows_loaders_find_the_dags_and_execute_nothing(self, mwaa: Deployed) -> None:
        self.loads(mwaa.start_up())

    def test_nor_without_the_dot_files(self, mwaa: Deployed) -> None:
        mwaa.start_up().lose_dot_files()
        assert not (mwaa.home / "dags" / ".airflowignore").exists()
        self.loads(mwaa)

    @staticmethod
    def loads(mwaa: Deployed) -> None:
        found = mwaa.probe()
        assert found["dags"] == DAGS
        assert (found["dag_errors"], found["plugin_errors"], found["plugins"]) == ({}, {}, [])
        assert "/lib/python" in found["code"], "the standard library's module"
        assert found["package"].startswith(str(mwaa.home / "venv")), "what pip installed, not the repository"
        assert found["heavy"] == []
        assert found["modules"] > 80

    def test_without_startup_sh_the_import_error_says_what_to_set(self, mwaa: Deployed) -> None:
        assert re.search(
            r"no models found: .*; set RETRAINING_HOME to the folder that holds include/", mwaa.import_error()
        )

    def test_without_the_environments_name_it_does_not_run_as_the_laptop(self, mwaa: Deployed) -> None:
        mwaa.start_up().variables.pop("RETRAINING_ENV")
        told = "environments/local.yaml: there is no environment 'local' (RETRAINING_ENV is not set); there are prod"
        assert mwaa.import_error().endswith(told)

    def test_without_the_models_the_import_error_says_where_it_looked(self, mwaa: Deployed) -> None:
        shutil.rmtree(mwaa.start_up().home / "dags" / "include")
        expected = f"there is no {mwaa.home}/dags/include/models; RETRAINING_HOME={mwaa.home}/dags is not the folder"
        assert expected in mwaa.import_error()

    def test_plugins_zip_is_the_wheel_alone(self, dist: Path) -> None:
        [wheel] = dist.glob("*.whl")
        with zipfile.ZipFile(dist / "mwaa" / "plugins.zip") as archive:
            assert archive.namelist() == [wheel.name]
            assert archive.read(wheel.name) == wheel.read_bytes()
        assert wheel.stat().st_size < 500_000
        with zipfile.ZipFile(wheel) as archive:
            rooms = {Path(name).parts[0] for name in archive.namelist()}
            assert rooms == {"sagemaker_retraining", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
            assert not [name for name in archive.namelist() if "__pycache__" in name or "test" in Path(name).name]

    @pytest.mark.aws_fact("mwaa-image")
    def test_mwaa_forces_its_own_versions(self, dist: Path) -> None:
        """It does unless a line, even a comment, has one of these (`_requirements_has_constraints`)."""
        text = (dist / "mwaa" / "requirements.txt").read_text()
        assert not re.search(r"-c |--constraint ", text)
        assert [line for line in text.splitlines() if line[:1] != "#"] == [
            f"/usr/local/airflow/plugins/{next(dist.glob('*.whl')).name}"
        ]


@pytest.mark.aws_fact("astro-image")
class TestOnAstronomer:
    def test_it_is_an_astro_project(self, dist: Path) -> None:
        project = dist / "astronomer"
        there = {path.name for path in project.iterdir()} - {next(dist.glob("*.whl")).name}
        assert there == {
            ".astro", ".dockerignore", "Dockerfile", "dags", "include", "packages.txt", "plugins", "requirements.txt",
        }  # fmt: skip
        assert yaml.safe_load((project / ".astro" / "config.yaml").read_text()) == {
            "project": {"name": "sagemaker-retraining"}
        }
        assert not list((project / "plugins").iterdir())

    @pytest.mark.slow
    def test_what_astro_deploy_checks_before_it_deploys(self, dist: Path, tmp_path: Path) -> None:
        """It runs this file in the built image (astro-cli airflow/docker.go)."""
        deployed = beside_the_dags(dist / "astronomer", tmp_path)
        parse = ("-m", "pytest", "-q", ".astro/test_dag_integrity_default.py")
        assert "1 passed" in deployed.run(*parse).stdout
        lost = deployed.run(*parse, check=False, RETRAINING_ENV="")
        assert lost.returncode == 1
        assert "RETRAINING_ENV is not set" in lost.stdout

    def test_the_image_installs_the_wheel_that_is_there(self, dist: Path) -> None:
        lines = (dist / "astronomer" / "Dockerfile").read_text().splitlines()
        assert re.fullmatch(r"FROM astrocrpublic\.azurecr\.io/runtime:3\.3-\d+-python-3\.12", lines[2])
        [install] = [line for line in lines if line.startswith("RUN pip install")]
        assert (dist / "astronomer" / Path(install.split()[-1]).name).is_file()
        assert lines[-2:] == ["ENV RETRAINING_ENV=prod", "ENV RETRAINING_HOME=/usr/local/airflow"]

    def test_it_brings_the_providers_that_are_tested_with_this_airflow(self, dist: Path) -> None:
        made = (dist / "astronomer" / "requirements.txt").read_text().splitlines()
        assert [line for line in made if line[:1] != "#"] == [line for line in pinned() if "-providers-" in line]
        assert not [line for line in made if "@" in line]


class TestOnAnyAirflow:
    def test_the_dags_load_with_include_beside_them(self, dist: Path, tmp_path: Path) -> None:
        assert beside_the_dags(dist / "airflow", tmp_path).import_error() == ""

    def test_the_installed_command_lints_the_project_in_the_current_folder(self, dist: Path, tmp_path: Path) -> None:
        deployed = beside_the_dags(dist / "airflow", tmp_path)
        command = [deployed.python.with_name("sagemaker-retraining"), "lint", "--env", "prod"]
        done = subprocess.run(command, cwd=deployed.home, env={"PATH": ""}, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "ok: flight_delay in prod\n"), done.stderr

    def test_its_requirements_are_what_is_deployed_and_no_tools(self, dist: Path) -> None:
        lines = (dist / "airflow" / "requirements.txt").read_text().splitlines()
        assert lines == pinned()
        assert {Requirement(line).name for line in lines} >= {"apache-airflow", "boto3", "pydantic"}
        assert not [line for line in lines if re.match(r"(sagemaker|moto|pytest)\b", line)]


class TestWhatGoes:
    @pytest.mark.parametrize("place", ["mwaa/dags/include", "astronomer/include", "airflow/include"])
    def test_of_include_what_production_reads(self, dist: Path, place: str) -> None:
        include = dist / place
        assert {path.name for path in include.iterdir()} == {
            "environments", "images.lock.yaml", "models", "revision.txt",
        }  # fmt: skip
        assert [path.name for path in (include / "environments").iterdir()] == ["prod.yaml"]
        model = {path.name for path in (include / "models" / "flight_delay").iterdir()}
        assert {"model.yaml", "train.py", "inference.py", "report.template.html"} <= model
        assert model.isdisjoint({"sample_data.py", "backtest.py", "tests", "README.md"})

    def test_the_code_that_sagemaker_gets_is_the_same_as_from_here(self, dist: Path, project: Path) -> None:
        here, there = project / "include", dist / "mwaa/dags/include"
        first, second = (package_code(include / "models/flight_delay") for include in (here, there))
        assert first == second

    def test_no_caches_and_no_secrets_of_the_laptop(self, dist: Path) -> None:
        names = {path.name for path in dist.rglob("*")}
        assert names.isdisjoint(
            {"__pycache__", ".DS_Store", "local.yaml", ".local", "laptop", "sagemaker_local", "iam"}
        )
        assert {name for name in names if name.startswith(".")} == {".airflowignore", ".astro", ".dockerignore"}

    def test_the_same_bytes_every_time(self, dist: Path, tmp_path: Path) -> None:
        package("prod", tmp_path / "dist")
        first, second = (folder / "mwaa" / "plugins.zip" for folder in (dist, tmp_path / "dist"))
        assert first.read_bytes() == second.read_bytes()

    def test_a_run_knows_its_commit_without_git(
        self, dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sagemaker_retraining.tasks.plan import git_sha

        include = shutil.copytree(dist / "airflow" / "include", tmp_path / "include")
        monkeypatch.setenv("RETRAINING_HOME", str(include.parent))
        assert project_root() == include
        assert git_sha({}) == "unknown", "the project is no repository"
        (include / "revision.txt").write_text("0123456789abcdef-dirty\n")
        assert git_sha({}) == "0123456789abcdef-dirty"
        assert git_sha({"GIT_SHA": "abc"}) == "abc"


class TestRefusals:
    @pytest.mark.parametrize("name", ["", "local", "prd"])
    def test_an_environment_that_is_none(self, at_home: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
        with pytest.raises(LaptopError, match=rf"^make package ENV={name}: .*; there are prod\.$"):
            package(name, tmp_path / "dist")
        assert not (tmp_path / "dist").exists()

    def test_a_mistake_is_told_and_what_was_built_stays(
        self, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copy = tmp_path / "project"
        shutil.copytree(project, copy)
        monkeypatch.setenv("RETRAINING_HOME", str(copy))
        (tmp_path / "dist").mkdir()
        (tmp_path / "dist" / "before").touch()
        model = copy / "include/models/flight_delay/model.yaml"
        model.write_text(model.read_text().replace("instance_type:", "instance_typ:", 1))
        with pytest.raises(LaptopError, match=r"^Nothing was packaged"):
            package("prod", tmp_path / "dist")
        assert "did you mean 'instance_type'?" in capsys.readouterr().out
        (copy / "include/environments/prod.yaml").write_text("environment: prod\nregoin: eu-west-1\n")
        with pytest.raises(LaptopError, match=r"include/environments/prod\.yaml:2: regoin: unknown key; did you mean"):
            package("prod", tmp_path / "dist")
        assert [path.name for path in tmp_path.iterdir() if "dist" in path.name] == ["dist"]
        assert (tmp_path / "dist" / "before").exists()

    def test_the_command_ends_with_status_1(
        self, at_home: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([]) == 1
        assert capsys.readouterr().err.startswith("make package ENV=: name an environment of ")


class TestThePluginsFolderAsItIs:
    """Docker Compose mounts plugins/ itself; where its .airflowignore is lost, Airflow executes every file of it."""

    @pytest.fixture
    def mounted(self, project: Path, tmp_path: Path) -> Deployed:
        deployed = Deployed(tmp_path / "airflow")
        caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / "plugins", deployed.home / "plugins", ignore=caches)
        for part in ("dags", "include"):
            shutil.copytree(project / part, deployed.home / part)
        deployed.variables = {"RETRAINING_ENV": "prod"}
        return deployed

    @pytest.mark.aws_fact("airflow-plugins-executed")
    def test_without_it_airflow_goes_on(self, mounted: Deployed) -> None:
        mounted.lose_dot_files()
        found = mounted.probe()
        assert (found["dags"], found["dag_errors"], found["plugin_errors"]) == (DAGS, {}, {})
        assert found["main"] == "`python -m sagemaker_retraining`", "Airflow did execute the files"
        assert "/lib/python" in found["code"], "no module has the name of one of the standard library"

    def test_no_module_has_the_name_of_one_of_pythons_own(self) -> None:
        """The loader puts each file into sys.modules under its bare name."""
        names = {path.stem for path in (REPOSITORY / "plugins").rglob("*.py")}
        assert names & set(sys.stdlib_module_names) == set()


def test_the_wheel_asks_for_no_more_than_mwaa_has() -> None:
    """Each lower bound is a version that is tested: that of MWAA's image, and below what runs elsewhere."""
    declared = [
        Requirement(one)
        for one in tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    ]
    image = (REPOSITORY / "deploy/mwaa/image.txt").read_text().splitlines()
    for source, lines in (("image.txt", [line for line in image if line and line[0] != "#"]), ("airflow", pinned())):
        pins = {one.name.lower(): one for one in map(Requirement, lines)}
        pins["apache-airflow-core"] = pins["apache-airflow"]
        for need in declared:
            [pin] = pins[need.name.lower()].specifier
            assert need.specifier.contains(pin.version), f"{source}: {pin} is not {need}"
            assert need.extras <= pins[need.name.lower()].extras
