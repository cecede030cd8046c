"""One client for all triggers that ask the same service in the same way.

A client of SageMaker takes 2 MB, most of it what it knows of the service's API: hundreds of waits in one triggerer
cannot have one each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.exceptions import ClientError

BUSY_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
    }
)


def is_busy(error: Exception) -> bool:
    """Whether the service answered that it cannot answer now: throttling, or a fault of its own."""
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.response["Error"]["Code"] in BUSY_CODES or status in {500, 502, 503, 504}


class SharedClient:
    """A client, made by the first who needs it, and how many use it."""

    def __init__(self) -> None:
        self.users = 0
        self._client: Any = None
        self._making = asyncio.Lock()
        self._open = AsyncExitStack()

    async def get(self, hook: AwsGenericHook[Any]) -> Any:
        """The client. When the one who makes it fails or is cancelled, the next one that waits does."""
        async with self._making:
            if self._client is None:
                self._client = await self._open.enter_async_context(await hook.get_async_conn())
            return self._client

    async def close(self) -> None:
        """Close its connections."""
        await self._open.aclose()


_current: dict[Hashable, SharedClient] = {}


@asynccontextmanager
async def shared_client(hook: AwsGenericHook[Any], parameters: Mapping[str, object]) -> AsyncIterator[Any]:
    """The client of this class of hook with these parameters; the last that leaves closes it.

    After an error the next trigger makes a new client, with the credentials of that moment, unless the service was only
    busy. The others keep the old one until they meet the error themselves.
    """
    # Connections belong to the event loop they were made in: a worker that waits itself has one per wait.
    key = asyncio.get_running_loop(), type(hook), json.dumps(parameters, sort_keys=True, default=repr)
    shared = _current.setdefault(key, SharedClient())
    shared.users += 1
    replaced = False
    try:
        yield await shared.get(hook)
    except Exception as error:
        replaced = not is_busy(error)
        raise
    finally:
        shared.users -= 1
        if (replaced or not shared.users) and _current.get(key) is shared:
            del _current[key]
        if not shared.users:
            await shared.close()
