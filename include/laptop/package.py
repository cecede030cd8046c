"""`make package ENV=prod`: what goes to production, and nothing else, into `dist/` (docs/aws.md).

The package goes as a wheel. Airflow executes every `.py` file below its plugins folder, each as a module of its bare
name (`airflow._shared.plugins_manager`), so they replace other modules in the process, `__main__` for one. A wheel in
plugins.zip is no `.py` file, and what pip installed is found by workers, triggerer and API server alike.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from include.laptop.layout import ROOT, LaptopError
from sagemaker_retraining.cli.main import main as command
from sagemaker_retraining.config import ConfigError, environment_names, load_environment, model_names, project_root
from sagemaker_retraining.config.load import LOCK_FILE, REVISION_FILE
from sagemaker_retraining.plan import code_files

LAPTOP = "local"
DEPLOY = ROOT / "deploy"
UV = ROOT / ".venv-uv" / "bin" / "uv"
NOT_DAGS = shutil.ignore_patterns("__pycache__", "*.pyc", ".DS_Store")
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def package(environment: str, target: Path) -> Path:
    """Write `target` anew for one environment; the wheel in it.

    Raises LaptopError for an environment that cannot go to production; by then the terminal has what `lint` says.
    """
    project = project_root().parent
    check(environment, project / "include")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        made = Path(folder)
        wheel = build_wheel(made)
        write_mwaa(made / "mwaa", wheel, environment, project)
        write_astronomer(made / "astronomer", wheel, environment, project)
        write_airflow(made / "airflow", wheel, project)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for entry in made.iterdir():
            entry.rename(target / entry.name)
    return target / wheel.name


def check(environment: str, include: Path) -> None:
    """Raise LaptopError unless the environment is one for production and all models lint clean in it."""
    others = [name for name in environment_names(include) if name != LAPTOP]
    if environment not in others:
        there = f"there are {', '.join(others)}" if others else "there is none yet"
        raise LaptopError(
            f"make package ENV={environment}: name an environment of {include}/environments that is not the laptop's "
            f"({LAPTOP}.yaml); {there}."
        )
    try:
        load_environment(environment, include)
    except ConfigError as error:
        raise LaptopError("\n".join(error.problems)) from error
    if command(["lint", "--env", environment]):
        raise LaptopError("Nothing was packaged: mend the lines above first.")


def build_wheel(folder: Path) -> Path:
    """The package as a wheel, the same bytes whenever it is built (pyproject.toml: uv_build, which is part of uv)."""
    done = subprocess.run(
        [str(UV), "build", "--wheel", "--offline", "--quiet", "--out-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LaptopError(f"uv could not build the wheel: {done.stderr.strip()}")
    (folder / ".gitignore").unlink(missing_ok=True)  # uv's mark of a folder that is not committed
    [wheel] = folder.glob("*.whl")
    return wheel


def write_mwaa(folder: Path, wheel: Path, environment: str, project: Path) -> None:
    """For Amazon MWAA: plugins.zip, requirements.txt, startup.sh, and dags/ with include/ in it, its one place."""
    write_dags(folder / "dags", project)
    write_include(folder / "dags" / "include", project)
    with zipfile.ZipFile(folder / "plugins.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(wheel.name, ZIP_EPOCH), wheel.read_bytes())  # a wheel is compressed already
    for name in ("requirements.txt", "startup.sh"):
        fill_in(DEPLOY / "mwaa" / name, folder / name, wheel, environment)


def write_astronomer(folder: Path, wheel: Path, environment: str, project: Path) -> None:
    """For Astronomer: an Astro project, as `astro dev init` makes them."""
    for source in sorted((DEPLOY / "astronomer").rglob("*")):
        if source.is_file():
            fill_in(source, folder / source.relative_to(DEPLOY / "astronomer"), wheel, environment)
    (folder / "plugins").mkdir()
    write_dags(folder / "dags", project)
    write_include(folder / "include", project)
    shutil.copy(wheel, folder)


def write_airflow(folder: Path, wheel: Path, project: Path) -> None:
    """For an Airflow of one's own: the wheel, what it needs, dags/ and include/."""
    write_dags(folder / "dags", project)
    write_include(folder / "include", project)
    shutil.copy(wheel, folder)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in pinned()))


def write_dags(folder: Path, project: Path) -> None:
    """dags/ as it is, `.airflowignore` included."""
    shutil.copytree(project / "dags", folder, ignore=NOT_DAGS)


def write_include(folder: Path, project: Path) -> None:
    """Of include/: models without what only a laptop runs, environments without the laptop's, image lock, commit.

    So a production whose RETRAINING_ENV got lost finds no `local`, and says so, instead of running as the laptop.
    """
    include = project / "include"
    for model in model_names(include):
        source = include / "models" / model
        for name in ("model.yaml", *code_files(source)):
            copy(source / name, folder / "models" / model / name)
    for environment in environment_names(include):
        if environment != LAPTOP:
            copy(include / "environments" / f"{environment}.yaml", folder / "environments" / f"{environment}.yaml")
    copy(include / LOCK_FILE, folder / LOCK_FILE)
    (folder / REVISION_FILE).write_text(f"{revision(project)}\n")


def revision(project: Path) -> str:
    """The commit, with `-dirty` behind it when files differ from it; `unknown` outside a Git repository."""
    git = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(git, cwd=project, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def fill_in(source: Path, target: Path, wheel: Path, environment: str) -> None:
    """Copy a file of deploy/ with its `@…@` filled in."""
    providers = "\n".join(line for line in pinned() if line.startswith("apache-airflow-providers-"))
    text = source.read_text()
    for mark, value in (("@WHEEL@", wheel.name), ("@ENVIRONMENT@", environment), ("@PROVIDERS@", providers)):
        text = text.replace(mark, value)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def pinned() -> list[str]:
    """What a deployed project needs, with exact versions: the group `airflow` of pyproject.toml."""
    lines: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["airflow"]
    return lines


def copy(source: Path, target: Path) -> None:
    """Copy one file, making its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def main(arguments: list[str]) -> int:
    """Command line: the environment. Exit status 0, or 1 after what is wrong."""
    try:
        wheel = package(arguments[0] if arguments else "", ROOT / "dist")
    except LaptopError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    sys.stdout.write(f"dist/mwaa, dist/astronomer, dist/airflow: {wheel.name} for {arguments[0]}; next: docs/aws.md\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
