"""What moto holds in memory, on disk: `state.sqlite` and the contents of S3 objects in `bodies/`.

Everything a request changed is written before it is answered.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from include.sagemaker_local.aws.persistence.buckets import S3State
from include.sagemaker_local.aws.persistence.current_request import CurrentRequest
from include.sagemaker_local.aws.persistence.database import Database
from include.sagemaker_local.aws.persistence.log_streams import LogsState
from include.sagemaker_local.aws.persistence.objects import store_contents_in
from include.sagemaker_local.aws.persistence.services import SERVICES, ServicesState
from include.sagemaker_local.aws.persistence.snapshot import read_snapshot
from include.sagemaker_local.state.content import remove_unused

log = logging.getLogger(__name__)
PERSISTED = ("s3", *SERVICES)
"""moto's names of the services whose state is written to disk. No other service is offered."""


class MotoState:
    """The durable state of moto in `directory`. There is one per process, as there is one moto; only the request
    that moto is answering uses it.

    Raises ValueError, with a plain sentence, when what is there cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bodies = directory / "bodies"
        self.bodies.mkdir(parents=True, exist_ok=True)
        self._snapshot = directory / "snapshot.pickle"
        self._database = Database(directory / "state.sqlite", self.bodies)
        store_contents_in(self.bodies)
        self._s3 = S3State(self._database)
        self._logs = LogsState(self._database)
        self._services = ServicesState(self._database)

    def load(self) -> None:
        """Put the saved state into moto, remove unused contents."""
        if self._database.is_new and self._snapshot.exists():
            read_snapshot(self._snapshot, self.bodies, self._services)
        else:
            self._database.loading(self._services.load)
            self._database.loading(self._logs.load)
            self._database.loading(self._s3.load)
        self._write("", "")
        remove_unused(self.bodies, self._database.used_bodies())
        self._snapshot.unlink(missing_ok=True)

    def begin(self, *, changing: bool) -> None:
        """moto begins to answer a request."""
        CurrentRequest.changing = changing

    def use(self, service: str) -> None:
        """Mark a service as used by a request that ran beside the one that moto is answering."""
        self._services.use(service)

    def save(self, service: str, operation: str) -> None:
        """Write what the request changed, of `operation` (such as `PutLogEvents`, "" when it is not known).

        Raises sqlite3.Error or OSError when it cannot be written; it is tried again with the next request then.
        """
        if CurrentRequest.changing:
            self._write(service, operation)
        elif self._s3.has_changed():  # an access log, which S3 writes of reading too, or what could not be written
            try:
                self._write("s3", "")
            except (OSError, sqlite3.Error):  # also with a full disk everybody may read
                log.exception("what has changed in S3 cannot be written to %s yet", self.directory)

    def _write(self, service: str, operation: str) -> None:
        structure = service in ("", "logs") and operation != "PutLogEvents"
        buckets = service in ("", "s3") and operation != "object"
        try:
            self._s3.write(buckets=buckets)
            self._logs.write(structure=structure)
            self._services.write(service)
            self._database.commit()
        except BaseException:
            self._database.rollback()
            raise
        self._s3.forget(buckets=buckets)
        self._logs.forget(structure=structure)
        self._services.forget()

    def close(self) -> None:
        """Close the files; they hold everything."""
        self._database.close()
