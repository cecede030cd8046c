"""From the files under `include/` to checked configuration objects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from sagemaker_retraining.config.environment import EnvironmentConfig
from sagemaker_retraining.config.images import is_first_party, repository
from sagemaker_retraining.config.messages import did_you_mean, explain
from sagemaker_retraining.config.metrics import known_metrics, not_in_scripts
from sagemaker_retraining.config.model import ModelConfig
from sagemaker_retraining.config.network import network_problems
from sagemaker_retraining.config.patterns import Section
from sagemaker_retraining.config.source import ConfigError, Source, read_yaml

LOCK_FILE = "images.lock.yaml"
REVISION_FILE = "revision.txt"
"""The commit that `make package` was run on: where the project is deployed there is no Git."""
INFERENCE_SCRIPT = "inference.py"
_Section = TypeVar("_Section", bound=Section)


def project_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder with `models/` and `environments/`: `$RETRAINING_HOME/include`, else that of the project.

    The project is where `plugins/` is; of an installed package, which has none, it is the current folder.

    Raises ConfigError when there is none.
    """
    home = environ.get("RETRAINING_HOME")
    projects = [Path(home)] if home else [Path(__file__).resolve().parents[3], Path.cwd()]
    for folder in (project / "include" for project in projects):
        if (folder / "models").is_dir():
            return folder
    advice = f"RETRAINING_HOME={home} is not" if home else "set RETRAINING_HOME to"
    missing = projects[0] / "include" / "models"
    raise ConfigError([f"no models found: there is no {missing}; {advice} the folder that holds include/"])


def environment_name(environ: Mapping[str, str] = os.environ) -> str:
    """`RETRAINING_ENV`, by default `local`."""
    return environ.get("RETRAINING_ENV") or "local"


def model_names(root: Path | None = None) -> list[str]:
    """The folders under `include/models/`, sorted."""
    folder = (root or project_root()) / "models"
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def environment_names(root: Path | None = None) -> list[str]:
    """The files under `include/environments/`, sorted."""
    return sorted(path.stem for path in ((root or project_root()) / "environments").glob("*.yaml"))


def model_folder(name: str, root: Path | None = None) -> Path:
    """`include/models/<name>`. Raises ConfigError when there is no such folder."""
    root = root or project_root()
    if name not in model_names(root):
        hint = did_you_mean(name, model_names(root), "there are")
        raise ConfigError([f"{_displayed(root)}/models/{name}: there is no such model; {hint}"])
    return root / "models" / name


def load_environment(name: str | None = None, root: Path | None = None) -> EnvironmentConfig:
    """`include/environments/<name>.yaml`, by default that of `RETRAINING_ENV`. Raises ConfigError."""
    root = root or project_root()
    name = name or environment_name()
    source = environment_source(name, root)
    environment = _parse(EnvironmentConfig, source)
    problems = []
    if environment.environment != name:
        text = f"{environment.environment!r} differs from the file's name {name!r}"
        problems.append(source.problem(("environment",), text))
    known = model_names(root)
    for model in environment.models:
        if model not in known:
            text = f"unknown model; {did_you_mean(model, known, 'there are')}"
            problems.append(source.problem(("models", model), text))
    if problems:
        raise ConfigError(problems)
    return environment


def load_model(name: str, root: Path | None = None, environment: str | None = None) -> ModelConfig:
    """`include/models/<name>/model.yaml` as it is in `environment` (by default that of `RETRAINING_ENV`).

    The environment's `models.<name>` is laid over it and the image is resolved to the region's URI.
    Raises ConfigError with one line for each problem.
    """
    root = root or project_root()
    folder = model_folder(name, root)
    target = load_environment(environment, root)
    overrides = environment_source(target.environment, root).below(("models", name))
    source = read_yaml(folder / "model.yaml", f"{_displayed(folder, root)}/model.yaml").overlay(overrides)
    config = _parse(ModelConfig, source)
    problems = [
        *_name_problems(config, source, folder.name, target.environment),
        *_script_problems(config, source, folder),
        *_metric_problems(config, source, folder),
        *network_problems(config, source, target, folder),
    ]
    uri, image_problems = _image_uri(config, source, target, root)
    if not image_problems:
        image_problems = _log_metric_problems(config, source, uri, root)
    if problems := problems + image_problems:
        raise ConfigError(problems)
    return config.model_copy(update={"image": config.image.model_copy(update={"uri": uri})})


def environment_source(name: str, root: Path) -> Source:
    """The environment's file, parsed. Raises ConfigError."""
    path = root / "environments" / f"{name}.yaml"
    if name not in environment_names(root):
        hint = did_you_mean(name, environment_names(root), "there are")
        lost = name == environment_name({}) and not os.environ.get("RETRAINING_ENV")
        why = "RETRAINING_ENV is not set" if lost else "RETRAINING_ENV"
        raise ConfigError([f"{_displayed(path, root)}: there is no environment {name!r} ({why}); {hint}"])
    return read_yaml(path, _displayed(path, root))


def _parse(cls: type[_Section], source: Source) -> _Section:
    try:
        return cls.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError(explain(error, cls, source)) from error


def _name_problems(config: ModelConfig, source: Source, folder: str, environment: str) -> list[str]:
    problems = []
    if config.model != folder:
        problems.append(source.problem(("model",), f"{config.model!r} differs from its folder's name {folder!r}"))
    # Names of models and endpoint configs are the endpoint's with 11 characters more; SageMaker allows 63.
    names = [(("deploy", "endpoint"), config.endpoint, 52), (("register", "group"), config.group, 63)]
    for key, template, longest in names:
        name = template.replace("{env}", environment)
        if len(name) > longest:
            problems.append(source.problem(key, f"{name!r} has {len(name)} characters; at most {longest} fit"))
    return problems


def _script_problems(config: ModelConfig, source: Source, folder: Path) -> list[str]:
    scripts = [((step, "script"), getattr(config, step).script) for step in ("preprocess", "train", "evaluate")]
    problems = []
    for key, script in [*scripts, (("deploy",), INFERENCE_SCRIPT)]:
        if not (folder / script).is_file():
            others = [path.name for path in folder.glob("*.py")]
            hint = did_you_mean(script, others, "scripts there:")
            problems.append(source.problem(key, f"there is no {script} in {source.folder}; {hint}"))
    return problems


def _metric_problems(config: ModelConfig, source: Source, folder: Path) -> list[str]:
    """Metrics that are neither known nor written by the model: found here, not after all jobs of a run."""
    known = known_metrics(config.problem)
    unknown = not_in_scripts((metric for metric in config.gate_metrics.values() if metric not in known), folder)
    return [
        source.problem(
            key,
            f"{metric!r} is not a known metric of {config.problem}, and no script of {source.folder} names it; "
            f"{did_you_mean(metric, known, 'known are')}",
        )
        for key, metric in config.gate_metrics.items()
        if metric in unknown
    ]


def _log_metric_problems(config: ModelConfig, source: Source, uri: str, root: Path) -> list[str]:
    """SageMaker refuses MetricDefinitions with its own images: found here, not after `preprocess` was paid for."""
    lock = root / LOCK_FILE
    if not config.train.metrics or not lock.is_file() or not is_first_party(uri, read_yaml(lock, LOCK_FILE).data):
        return []
    text = (
        f"{repository(uri)} is an image of AWS's own, whose training jobs SageMaker refuses with metrics of one's own; "
        "leave the key out, and let the script print XGBoost's own lines, `[50]`, a tab and `validation-auc:0.81`: "
        "SageMaker reads those"
    )
    return [source.problem(("train", "metrics"), text)]


def _image_uri(
    config: ModelConfig, source: Source, environment: EnvironmentConfig, root: Path
) -> tuple[str, list[str]]:
    image = config.image
    if image.uri:
        return image.uri, []
    lock = f"{_displayed(root)}/{LOCK_FILE}"
    found = read_yaml(root / LOCK_FILE, lock).data
    for key, value in (("framework", image.framework), ("version", image.version), ("region", environment.region)):
        if value not in found:
            have = ", ".join(sorted(map(str, found))) or "none"
            fix = "add it with `python include/lock_images.py`, or give the image's uri"
            text = f"{value!r} is not in {lock} (there: {have}); {fix}"
            if key == "region":
                return "", [environment_source(environment.environment, root).problem((key,), text)]
            return "", [source.problem(("image", key), text)]
        found = found[value]
    return str(found), []


def _displayed(path: Path, root: Path | None = None) -> str:
    """The path as messages name it: from the project's folder on."""
    return str(path.relative_to((root or path).parent))
