"""The error that a caller gets when moto raises an exception: whether it is worth a retry."""

from __future__ import annotations

import sqlite3
from json import JSONDecodeError
from pathlib import Path
from xml.parsers.expat import ExpatError

from botocore.model import OperationNotFoundError

from include.sagemaker_local.errors import AwsError


def refused(error: Exception, service: str) -> AwsError | None:
    """The answer to a request that cannot be read, or asks for what is not there; None for any other exception."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, NotImplementedError):
        message = f"{service or 'This'}: {error or 'the operation'} is not implemented by the local SageMaker."
        return AwsError("UnsupportedOperation", message, status=501)
    if isinstance(error, ExpatError):
        return AwsError("MalformedXML", f"The XML you provided was not well-formed: {error}.")
    if isinstance(error, OperationNotFoundError):
        return AwsError("InvalidAction", f"{service} has no operation {error}.")
    if isinstance(error, JSONDecodeError | UnicodeDecodeError | RecursionError):
        return AwsError("SerializationException", f"The request cannot be read: {error}.")
    return None


def failed(error: Exception, service: str, state: Path) -> AwsError:
    """A full disk is worth a retry; moto's stumbling over what a request lacks, or has beyond its own grasp, is not."""
    if isinstance(error, OSError | sqlite3.Error | MemoryError):
        message = f"The local SageMaker could not keep it in its state directory {state}: {error}."
        return AwsError("InternalError", message, status=500)
    message = (
        f"{service or 'S3'}: moto, which answers for it here, does not understand this request "
        f"({type(error).__name__}: {error}); the log of the local SageMaker has more."
    )
    return AwsError("UnsupportedOperation", message, status=501)
