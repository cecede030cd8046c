"""docker-compose.yaml is valid and describes the same stack as the laptop's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.laptop.layout import Addresses
from include.laptop.stack.components import airflow_components
from include.laptop.stack.environment import airflow_settings, aws_connection

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
ELSEWHERE = {
    # In containers these are other addresses, folders or secrets, or the image's own defaults.
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__PLUGINS_FOLDER",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__API__HOST",
    "AIRFLOW__API__PORT",
    "AIRFLOW__API__BASE_URL",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
    "AIRFLOW__LOGGING__LOGGING_LEVEL",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_follows_the_compose_specification() -> None:
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, str(FILE)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_depends_only_on_services_that_exist_and_can_be_healthy(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for target, rule in service.get("depends_on", {}).items():
            assert target in services, f"{name} depends on {target}"
            if rule["condition"] == "service_healthy":
                assert "healthcheck" in services[target], f"{name} waits for the health of {target}"


def test_same_processes_as_on_a_laptop(services: dict[str, Any]) -> None:
    assert set(services) == {component.name for component in airflow_components()} | {
        "postgres",
        "local-sagemaker",
        "seed",
        "init",
    }
    for component in airflow_components():
        assert services[component.name]["command"] == [component.name]


def test_same_settings_as_on_a_laptop(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("include.laptop.stack.environment.AIRFLOW_HOME", tmp_path)
    laptop = airflow_settings(Addresses(8080, 5005))
    compose = services["scheduler"]["environment"]
    assert {key: compose.get(key) for key in laptop.keys() - ELSEWHERE} == {
        key: value for key, value in laptop.items() if key not in ELSEWHERE
    }
    for name, login in (("DEFAULT", "local"), ("APPROVER", "approver")):
        connection = json.loads(compose[f"AIRFLOW_CONN_AWS_{name}"])
        connection["extra"].pop("config_kwargs")
        connection["extra"]["endpoint_url"] = "http://127.0.0.1:5005"
        assert connection == aws_connection(Addresses(8080, 5005), login)


def test_ports_are_open_to_this_machine_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_secret_is_written_down() -> None:
    secrets = re.findall(r"\$\{(FERNET_KEY|JWT_SECRET|API_SECRET|POSTGRES_PASSWORD)(:\?)?", FILE.read_text())
    assert {name for name, _ in secrets} == {"FERNET_KEY", "JWT_SECRET", "API_SECRET", "POSTGRES_PASSWORD"}
    assert all(required for _, required in secrets)


def test_the_image_has_the_version_of_airflow_that_the_lock_has() -> None:
    image = re.search(r"FROM apache/airflow:([\d.]+)-python(3\.\d+)", (ROOT / "Dockerfile").read_text())
    assert image
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert [one["version"] for one in packages if one["name"] == "apache-airflow"] == [image[1]]
