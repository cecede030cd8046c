"""URIs of objects and prefixes in S3."""

from __future__ import annotations

_SCHEME = "s3://"


def s3_uri(bucket: str, key: str) -> str:
    """`s3://<bucket>/<key>`"""
    return f"{_SCHEME}{bucket}/{key}"


def is_s3_uri(text: str) -> bool:
    """Whether a text names a bucket."""
    return text.startswith(_SCHEME)


def split_s3_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` → `("bucket", "some/key")`. Raises ValueError for anything else.

    Not a job for urllib: of a key nothing is a query or a fragment, so `#` and `?` belong to it.
    """
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket:
        raise ValueError(f"{uri!r} is not an S3 URI; expected s3://<bucket>/<key>")
    return bucket, key
