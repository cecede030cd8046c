"""Addresses in S3."""

from __future__ import annotations


def split_s3(url: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; the key may be empty, and hold `#` and `?`, which urllib would cut off."""
    bucket, _, key = url.partition("://")[2].partition("/")
    return bucket, key
