"""boto3 clients in the environment's region, with the usual AWS settings; no Airflow connection."""

from __future__ import annotations

import threading
from typing import Any

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 4
"""A check that hangs helps less than a line that says that AWS does not answer."""


class Aws:
    """Makes each client once; safe to share between threads."""

    def __init__(self, region: str) -> None:
        import boto3

        self._session: Any = boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}  # boto3 makes the classes of its clients at run time
        self._lock = threading.Lock()
        self.region = region

    def client(self, service: str) -> Any:
        """The boto3 client of a service. Raises BotoCoreError for settings that cannot be used."""
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                config = Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    max_pool_connections=40,
                )
                self._clients[service] = self._session.client(service, config=config)
            return self._clients[service]
