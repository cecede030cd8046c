"""The environment variables of the stack's processes: all of Airflow's configuration on a laptop is here."""

from __future__ import annotations

import base64
import json
import os
import secrets

from include.laptop.layout import AIRFLOW_HOME, HOST, LOCAL, REGION, ROOT, Addresses

MARKER = "RETRAINING_STACK"
"""Every process of the stack carries this variable; its value is the `.local` folder the stack belongs to."""

USERS = {"admin": "admin", "reviewer": "user"}
"""Who can log in, and the role; the password is the name. The servers are reachable from this machine only."""


def process_environment(addresses: Addresses) -> dict[str, str]:
    """The whole environment of a stack process. Nothing of the user's AWS or Airflow settings gets in."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "AWS_", "_AIRFLOW"))}
    return {
        **inherited,
        MARKER: str(LOCAL),
        "SPT_NOENV": "1",  # Airflow renames its processes; this keeps the mark readable in /proc
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
        "RETRAINING_ENV": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws_connection(addresses, "local")),
        "AIRFLOW_CONN_AWS_APPROVER": json.dumps(aws_connection(addresses, "approver")),
        **airflow_settings(addresses),
    }


def aws_connection(addresses: Addresses, login: str) -> dict[str, object]:
    """An Airflow connection to the local SageMaker, with credentials that mean nothing but who asks.

    Airflow masks a connection's password wherever it appears in a log, so it must not be a word of any name.
    """
    extra = {"region_name": REGION, "endpoint_url": addresses.sagemaker}
    return {"conn_type": "aws", "login": login, "password": "not-a-secret", "extra": extra}


def airflow_settings(addresses: Addresses) -> dict[str, str]:
    """`AIRFLOW__…`: SQLite, LocalExecutor, one API worker, short waits between the scheduler's loops."""
    settings: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": os.environ.get("RETRAINING_DAGS_FOLDER", ROOT / "dags"),  # the benchmark brings its own
            "plugins_folder": ROOT / "plugins",
            "executor": "LocalExecutor",
            "parallelism": 4,
            "load_examples": False,
            "fernet_key": secret("fernet-key"),
            "execution_api_server_url": f"{addresses.airflow}/execution/",
            "simple_auth_manager_users": ",".join(f"{name}:{role}" for name, role in USERS.items()),
            "simple_auth_manager_passwords_file": AIRFLOW_HOME / "passwords.json",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{AIRFLOW_HOME}/airflow.db"},
        "api": {
            "host": HOST,
            "port": addresses.airflow_port,
            "base_url": addresses.airflow,
            "workers": 1,
            "secret_key": secret("api-secret"),
        },
        "api_auth": {"jwt_secret": secret("jwt-secret")},
        "scheduler": {"scheduler_heartbeat_sec": 1, "scheduler_idle_sleep_time": 0.2},
        # How late Airflow sees that a task's process has ended; the default of 5 s is half of a short task's time here,
        # and a deferred task that comes back before that is taken for killed.
        "workers": {"min_heartbeat_interval": 1},
        "dag_processor": {"parsing_processes": 1, "min_file_process_interval": 10, "refresh_interval": 10},
        "logging": {"base_log_folder": AIRFLOW_HOME / "logs", "logging_level": "INFO", "colored_console_log": False},
        "usage_data_collection": {"enabled": False},
    }
    return {
        f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
        for section, values in settings.items()
        for key, value in values.items()
    }


def secret(name: str) -> str:
    """A key of 32 random bytes, made once per Airflow home and readable by its owner only."""
    file = AIRFLOW_HOME / "keys" / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        file.chmod(0o600)
    return file.read_text()


def write_passwords() -> None:
    """The passwords file that Airflow's simple auth manager reads; it must be writable for Airflow."""
    AIRFLOW_HOME.mkdir(parents=True, exist_ok=True)
    (AIRFLOW_HOME / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
