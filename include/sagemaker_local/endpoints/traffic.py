"""How an endpoint's requests are shared between the fleet that serves and the one that an update brings up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from functools import partial

from include.sagemaker_local.endpoints.deployment import Deployment

Split = list[tuple[Deployment, float]]


class Traffic:
    """The deployments of an endpoint, each with its share of the requests. A request sees one split or the next."""

    def __init__(self, deployment: Deployment) -> None:
        self._settled: Split = [(deployment, 1.0)]
        self._split = self._settled

    def draw(self) -> Deployment:
        """The deployment of one request."""
        split = self._split
        if len(split) > 1:
            draw = random.random()  # noqa: S311 - traffic, not secrecy
            for deployment, share in split:
                draw -= share
                if draw < 0:
                    return deployment
        return split[0][0]

    def shift(self, green: Deployment, share: float) -> None:
        """Send this share of the requests to `green`, the rest to what served before."""
        self._split = [*((blue, before * (1 - share)) for blue, before in self._settled), (green, share)]

    def withdraw(self) -> None:
        """Send everything to what served before."""
        self._split = self._settled

    def settle(self, green: Deployment) -> list[Deployment]:
        """Send everything to `green` from now on; what served before it, to be stopped."""
        before = [deployment for deployment, _ in self._settled]
        self._settled = self._split = [(green, 1.0)]
        return before

    def stay_mixed(self) -> None:
        """Let both go on to serve, as after a rollback that failed."""
        self._settled = self._split

    def weigh(self, weights: dict[str, float]) -> None:
        """Share requests among the variants in proportion to these weights."""
        for deployment, _ in self._split:
            deployment.weigh(weights)

    def stop(self, drain_seconds: float) -> None:
        """End all containers at the same time, after their requests in flight."""
        in_parallel([partial(deployment.stop, drain_seconds) for deployment, _ in self._split])


def in_parallel(calls: Iterable[Callable[[], None]]) -> None:
    """Make these calls at the same time, and wait for their ends."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
