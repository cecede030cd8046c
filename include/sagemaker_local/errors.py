"""What a request ends with instead of an answer, as exceptions; code, HTTP status and message as AWS words them."""

from __future__ import annotations


class AwsError(Exception):
    """An error response: `code` is what boto3 shows as `Error.Code`, `status` the HTTP status.

    `fields` are further members of the error body (such as `OriginalStatusCode` of a ModelError).
    """

    def __init__(self, code: str, message: str, status: int = 400, **fields: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


class NoAnswerError(Exception):
    """The connection is to be closed without an answer, kept alive or not."""


def validation_error(message: str) -> AwsError:
    """The request is well formed but not acceptable, or names something that does not exist."""
    return AwsError("ValidationException", message)


def unsupported_operation(operation: str) -> AwsError:
    """The operation exists on AWS but not here; 501 is a status that boto3 does not retry."""
    return AwsError(
        "UnsupportedOperation",
        f"{operation} is not implemented by the local SageMaker.",
        status=501,
    )
