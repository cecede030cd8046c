"""Large objects of S3 pass through the server, not through its memory; what is damaged on the way is refused."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.conftest import LocalSageMaker
from tests.kits.figures import report

MEGABYTE = 1024 * 1024
SIZE = 300 * MEGABYTE
PART = bytes(range(256)) * 4096


class Large(io.RawIOBase):
    """A file of `SIZE` bytes that is nowhere."""

    def __init__(self) -> None:
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, SIZE)[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        start = self._position % MEGABYTE
        block = PART[start : start + min(len(buffer), SIZE - self._position)]
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)


def peak(server: LocalSageMaker, work: Callable[[], None]) -> float:
    """By how many megabytes the server's memory grew at most, while `work` ran."""
    before, highest, done = server.health()["memory_rss_bytes"], 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        assert server.process is not None
        while not done.wait(0.01):
            statm = Path(f"/proc/{server.process.pid}/statm").read_text()
            highest = max(highest, int(statm.split()[1]) * 4096)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return (highest - before) / MEGABYTE


@pytest.fixture
def server(make_sagemaker_local: Callable[..., LocalSageMaker]) -> Iterator[LocalSageMaker]:
    found = make_sagemaker_local().start()
    found.client("s3").put_object(Bucket=found.bucket, Key="first", Body=b"loads what is loaded once")
    yield found
    assert found.stop() == 0


def test_300_megabytes_do_not_pass_through_memory(server: LocalSageMaker) -> None:
    s3, bucket = server.client("s3"), server.bucket
    whole = {"Bucket": bucket, "Key": "whole"}

    def read(**arguments: Any) -> None:
        body = s3.get_object(**arguments)["Body"]
        digest = hashlib.sha256()
        for block in body.iter_chunks(MEGABYTE):
            digest.update(block)
        assert digest.hexdigest() == expected

    digest = hashlib.sha256()
    for _ in range(SIZE // MEGABYTE):
        digest.update(PART)
    expected = digest.hexdigest()
    parts = TransferConfig(multipart_threshold=MEGABYTE, multipart_chunksize=64 * MEGABYTE, max_concurrency=2)
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": whole}
    work: dict[str, Callable[[], None]] = {
        "put": lambda: s3.put_object(**whole, Body=io.BufferedReader(Large())),
        "get": lambda: read(**whole),
        "upload in parts": lambda: s3.upload_fileobj(io.BufferedReader(Large()), bucket, "parts", Config=parts),
        "get of parts": lambda: read(Bucket=bucket, Key="parts"),
        "copy": lambda: s3.copy_object(**copy),
        "versions": lambda: s3.list_object_versions(Bucket=bucket),
    }
    grown = {name: peak(server, run) for name, run in work.items()}
    report(f"300 MB, growth of the server in MB: {grown}")
    assert max(grown.values()) < 100
    tail = s3.get_object(Bucket=bucket, Key="parts", Range=f"bytes={128 * MEGABYTE - 5}-{128 * MEGABYTE + 5}")
    assert tail["Body"].read() == PART[-5:] + PART[:6]
    assert tail["ContentRange"] == f"bytes {128 * MEGABYTE - 5}-{128 * MEGABYTE + 5}/{SIZE}"
    assert s3.head_object(Bucket=bucket, Key="copy")["ContentLength"] == SIZE
    # The parts are the object; a copy and the whole are the same content, stored once.
    assert sum(path.stat().st_size for path in (server.state / "aws/bodies").iterdir()) < 2 * SIZE + MEGABYTE


def test_ranges_of_large_objects(server: LocalSageMaker) -> None:
    s3, bucket = server.client("s3"), server.bucket
    content = PART * 3
    s3.put_object(Bucket=bucket, Key="large", Body=content)
    ranges = {"bytes=0-0": (0, 1), "bytes=-7": (len(content) - 7, len(content)), "bytes=2000000-": (2_000_000, None)}
    for asked, (start, stop) in ranges.items():
        assert s3.get_object(Bucket=bucket, Key="large", Range=asked)["Body"].read() == content[start:stop]
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket=bucket, Key="large", Range=f"bytes={len(content)}-")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="cut")["UploadId"]
    where = {"Bucket": bucket, "Key": "cut", "UploadId": upload}
    source = {"CopySource": {"Bucket": bucket, "Key": "large"}, "CopySourceRange": "bytes=10-2000009"}
    etag = s3.upload_part_copy(**where, **source, PartNumber=1)["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert s3.get_object(Bucket=bucket, Key="cut")["Body"].read() == content[10:2_000_010]


def test_what_is_damaged_on_the_way_is_refused(server: LocalSageMaker) -> None:
    """S3 compares each digest that comes with a body; the object is not made then."""
    s3, bucket = server.client("s3"), server.bucket
    sha256 = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    crc32 = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()
    wrong: list[dict[str, Any]] = [
        {"ContentMD5": base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()},
        {"ChecksumSHA256": sha256},
        {"ChecksumCRC32": crc32},
    ]
    for digest in wrong:
        with pytest.raises(ClientError, match="BadDigest"):
            s3.put_object(Bucket=bucket, Key="damaged", Body=b"right", **digest)
    assert s3.list_objects_v2(Bucket=bucket, Prefix="damaged")["KeyCount"] == 0
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.upload_part(Bucket=bucket, Key="k", UploadId="none", PartNumber=1, Body=b"x")


def test_a_body_in_signed_chunks(server: LocalSageMaker) -> None:
    """`aws-chunked`, as SDKs send streams with a checksum at the end; half a chunk makes no object."""
    s3, bucket = server.client("s3"), server.bucket
    crc32 = base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big")).decode()
    sent = f"6\r\nhello \r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:{crc32}\r\n\r\n".encode()
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "11",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "content-encoding": "aws-chunked",
        "authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host",
    }

    def put(body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("PUT", f"/{bucket}/chunks", body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    for damaged in (sent[:12], sent.replace(b"5\r\n", b"zz\r\n"), sent.replace(b"world", b"wor"), b""):
        assert put(damaged) == 400
    assert s3.list_objects_v2(Bucket=bucket, Prefix="chunks")["KeyCount"] == 0
    assert put(sent) == 200
    found = s3.get_object(Bucket=bucket, Key="chunks", ChecksumMode="ENABLED")
    assert (found["Body"].read(), found["ChecksumCRC32"]) == (b"hello world", crc32)
    assert time.time() - found["LastModified"].timestamp() < 60
