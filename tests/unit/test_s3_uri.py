"""Addresses in S3: a key is everything after the bucket."""

from __future__ import annotations

import pytest

from include.sagemaker_local.s3_uri import split_s3
from sagemaker_retraining.s3_uri import split_s3_uri


@pytest.mark.parametrize("split", [split_s3_uri, split_s3])
@pytest.mark.parametrize("key", ["run #3/what?.json", "a#b", "?x=1", "a?b#c/", "a%23b", "/begins with a slash", ""])
def test_a_key_stays_whole(split: object, key: str) -> None:
    assert callable(split)
    assert split(f"s3://bucket/{key}") == ("bucket", key)


def test_only_a_bucket() -> None:
    assert split_s3_uri("s3://bucket") == split_s3("s3://bucket") == ("bucket", "")


@pytest.mark.parametrize("text", ["bucket/key", "https://bucket/key", "s3:///key", "s3://", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an S3 URI; expected s3://<bucket>/<key>"):
        split_s3_uri(text)
