"""A client that asks an endpoint without a pause, to see whether a request fails while the endpoint changes."""

from __future__ import annotations

import threading

from tests.kits.endpoint_kit import Kit


class BusyClient(threading.Thread):
    """Sends requests without a pause until told to stop; keeps the answers and the errors."""

    def __init__(self, kit: Kit, endpoint: str) -> None:
        super().__init__()
        self.kit = Kit(kit.server)
        self.endpoint = endpoint
        self.answers: list[str] = []
        self.errors: list[Exception] = []
        self.stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                self.answers.append(self.kit.invoke(self.endpoint, "1"))
            except Exception as error:
                self.errors.append(error)

    def stop(self) -> None:
        self.stopped.set()
        self.join()
