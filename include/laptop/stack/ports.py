"""Is a port free, and if not, who has it."""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

from include.laptop.layout import HOST, Addresses, LaptopError


def check_ports(addresses: Addresses) -> None:
    """Raise LaptopError when a port of the stack is taken: which, by whom if that can be known, and the remedy."""
    for variable, port in (("AIRFLOW_PORT", addresses.airflow_port), ("SAGEMAKER_PORT", addresses.sagemaker_port)):
        if not is_free(port):
            raise LaptopError(
                f"Port {port} is in use{holder(port)}: stop that, or choose another port with {variable}={port + 1}."
            )


def is_free(port: int) -> bool:
    """Whether a server could listen there now; connections that linger from one that has ended do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True


def holder(port: int) -> str:
    """` by nginx (process 123)`, or nothing when the system does not tell."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""
