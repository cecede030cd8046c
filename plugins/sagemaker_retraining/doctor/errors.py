"""What boto3's exceptions mean for a check, which only reads."""

from __future__ import annotations

import re

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

_DENIED = frozenset(
    {"403", "AccessDenied", "AccessDeniedException", "AuthorizationError", "Forbidden", "UnauthorizedOperation"}
)
_ACTION = re.compile(r"to perform:? ([a-z0-9-]+:\w+)")
_BAD_CREDENTIALS = {
    "ExpiredToken": "the credentials have expired; log in again",
    "ExpiredTokenException": "the credentials have expired; log in again",
    "RequestExpired": "the credentials have expired, or this machine's clock is wrong; log in again",
    "InvalidClientTokenId": "AWS does not know the access key, or the region is not enabled in the account",
    "UnrecognizedClientException": "AWS does not know the access key, or the region is not enabled in the account",
    "SignatureDoesNotMatch": "the secret access key does not belong to the access key",
}


def code_of(error: ClientError) -> str:
    """AWS's error code; for an answer without a body its status, such as `404`."""
    return str(error.response["Error"]["Code"])


def is_denied(error: ClientError) -> bool:
    """Whether AWS refused because a permission is missing."""
    return code_of(error) in _DENIED


def explained(error: ClientError | BotoCoreError) -> str:
    """One sentence that says why the check could not look."""
    if isinstance(error, ConnectionError | HTTPClientError):
        return f"AWS does not answer: {_first_line(error)}"
    if not isinstance(error, ClientError):
        return _first_line(error)
    if (code := code_of(error)) in _BAD_CREDENTIALS:
        return f"{_BAD_CREDENTIALS[code]} ({code})"
    message = str(error.response["Error"].get("Message", ""))
    if is_denied(error):
        action = _ACTION.search(message)
        return f"not allowed to call {action[1] if action else error.operation_name}"
    return f"{error.operation_name} was answered with {code}: {message}"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]
