"""`PutObject` and `UploadPart`: the body goes to its file before moto gets the request, and is checked on the way.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html tells the form of `aws-chunked` bodies.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs

from include.sagemaker_local.aws.persistence.objects import CONTENT
from include.sagemaker_local.errors import AwsError
from include.sagemaker_local.http.types import Environ
from include.sagemaker_local.state.content import BLOCK_BYTES, CHECKSUMS, Hash, Incoming

_NOT_BODIES = {"acl", "tagging", "retention", "legal-hold", "torrent", "renameObject", "encryption"}
_LINE_BYTES = 8192
_HEADER = "HTTP_X_AMZ_CHECKSUM_"
_SHA256_DIGITS = 64


def is_object_body(environ: Environ, service: str) -> bool:
    """Whether the request's body is the content of an object or of a part."""
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return bool(
        environ["REQUEST_METHOD"] == "PUT"
        and service in ("", "s3")
        and bucket
        and key
        and "HTTP_X_AMZ_TARGET" not in environ
        and "HTTP_X_AMZ_COPY_SOURCE" not in environ
        and not _NOT_BODIES & set(query)
    )


def store_body(environ: Environ, bodies: Path) -> None:
    """Move the request's body to `bodies`; moto finds it by `CONTENT`.

    Raises AwsError for a body that is not what its headers say, OSError when it cannot be written.
    """
    body: IO[bytes] = environ["wsgi.input"]
    algorithm = _algorithm(environ)
    chunked = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "").startswith("STREAMING-")
    checksum = CHECKSUMS[algorithm]() if algorithm in CHECKSUMS else None
    with Incoming(bodies, checksum) as incoming:
        for block in _chunks(body, environ) if chunked else iter(lambda: body.read(BLOCK_BYTES), b""):
            incoming.write(block)
        _check_length(environ, incoming.size)
        _check_hashes(environ, incoming)
        _check_checksum(environ, algorithm, checksum)
        environ[CONTENT] = incoming.keep()
    environ["wsgi.input"] = io.BytesIO()
    environ["CONTENT_LENGTH"] = "0"
    environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"


def _algorithm(environ: Environ) -> str:
    """The checksum that comes with the body, or is to be made of it: named, given, or announced for its end."""
    named = str(environ.get("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "")).upper()
    given = [name.removeprefix(_HEADER) for name in environ if name.startswith(_HEADER)]
    given = [name for name in given if name not in ("TYPE", "ALGORITHM", "MODE")]
    trailer = str(environ.get("HTTP_X_AMZ_TRAILER", "")).upper().replace("-", "_")
    algorithm = named or (given[0] if given else trailer.removeprefix("X_AMZ_CHECKSUM_"))
    if algorithm:
        environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = algorithm
    return algorithm


def _chunks(body: IO[bytes], environ: Environ) -> Iterator[bytes]:
    """The content of an `aws-chunked` body; the trailer's checksum becomes a header."""
    while size := _chunk_size(body):
        while size:
            block = body.read(min(size, BLOCK_BYTES))
            if not block:
                raise _incomplete()
            size -= len(block)
            yield block
        if body.readline(_LINE_BYTES) != b"\r\n":
            raise _incomplete()
    for line in iter(lambda: body.readline(_LINE_BYTES).strip(), b""):
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower().startswith("x-amz-checksum-"):
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value.strip()


def _chunk_size(body: IO[bytes]) -> int:
    line = body.readline(_LINE_BYTES)
    digits = line.split(b";")[0].strip()
    if not line.endswith(b"\n") or not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise _incomplete()
    return int(digits, 16)


def _incomplete() -> AwsError:
    return AwsError(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header."
    )


def _check_length(environ: Environ, size: int) -> None:
    expected = environ.pop("HTTP_X_AMZ_DECODED_CONTENT_LENGTH", None)
    if expected is not None and expected != str(size):
        raise _incomplete()


def _check_hashes(environ: Environ, incoming: Incoming) -> None:
    md5 = environ.get("HTTP_CONTENT_MD5")
    if md5 is not None and md5 != base64.b64encode(incoming.md5.digest()).decode():
        raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.")
    sha256 = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    if len(sha256) == _SHA256_DIGITS and sha256 != incoming.sha256.hexdigest():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise AwsError("XAmzContentSHA256Mismatch", message)


def _check_checksum(environ: Environ, algorithm: str, checksum: Hash | None) -> None:
    """Compare or add what can be computed here; another algorithm's value is believed."""
    if not algorithm:
        return
    header = f"{_HEADER}{algorithm}"
    if checksum:
        value = base64.b64encode(checksum.digest()).decode()
        if environ.setdefault(header, value) != value:
            raise AwsError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    elif header not in environ:
        del environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"]
